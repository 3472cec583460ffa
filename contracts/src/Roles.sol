// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Authorities} from "./Authorities.sol";
import {nowMs} from "./Clock.sol";
import {Directory} from "./Directory.sol";

/// @title Roles beyond those of `Directory`: defined by vote, assigned before a person is enrolled.
/// @notice A role stands on a base role of the directory, which decides what the other contracts allow.
/// @dev Not part of genesis: found through the address book (docs/decisions/148). No immutables, so that the code
///      is the same on every ledger. Storage (see docs/wire.md): slot 0 directory, slot 1 roles, slot 2
///      assignments, slot 3 supporters, slot 4 all.
contract Roles {
    struct Role {
        /// ASCII, left-aligned.
        bytes32 name;
        /// Milliseconds; zero while the role is not defined.
        uint64 definedAt;
        /// The directory's role under which people with this role are enrolled.
        uint8 base;
    }

    struct Assignment {
        /// Milliseconds; zero while nothing is assigned.
        uint64 assignedAt;
        /// A defined role.
        uint8 role;
    }

    /// Organisations and people.
    Directory public directory;
    /// Roles by code.
    mapping(uint8 role => Role) public roles;
    /// What an organisation assigned to a person it was going to enrol.
    mapping(bytes16 org => mapping(bytes32 person => Assignment)) public assignments;
    mapping(bytes32 definition => bytes16[]) private supporters;
    /// Every defined role, in order of definition.
    uint8[] public all;

    event RoleSupported(uint8 indexed role, bytes16 indexed org, bytes32 name, uint8 base);
    event RoleDefined(uint8 indexed role, bytes32 name, uint8 base);
    event RoleAssigned(bytes32 indexed person, bytes16 indexed org, uint8 role);

    /// Only organisations with a staying validator vote.
    error NotSeated(bytes16 org);
    /// The directory has this role already.
    error RoleReserved(uint8 role);
    /// The base is not a role of the directory.
    error BaseUnknown(uint8 base);
    /// A role needs a name.
    error RoleNameMissing();
    /// A defined role never changes.
    error RoleKnown(uint8 role);
    /// One vote each.
    error VoteRepeated(bytes16 org);
    /// No such role is defined.
    error RoleUnknown(uint8 role);
    /// A role is assigned before the person is enrolled.
    error PersonAlreadyEnrolled(bytes32 person);
    /// The organisation assigned a role to this person before.
    error RoleAlreadyAssigned(bytes32 person);

    constructor(Directory directory_) {
        directory = directory_;
    }

    /// @notice Votes for a role. The vote of more than half of the seated organisations defines it.
    /// @param role 6 to 255.
    /// @param name ASCII, left-aligned.
    /// @param base 1 to 5.
    function support(uint8 role, bytes32 name, uint8 base) external {
        Directory directory_ = directory;
        Authorities authorities = Authorities(directory_.authorities());
        bytes16 org = directory_.requireOrganisation(msg.sender);
        if (authorities.seats(org) == 0) revert NotSeated(org);
        uint8 roleMax = directory_.ROLE_MAX();
        if (role <= roleMax) revert RoleReserved(role);
        if (base == 0 || base > roleMax) revert BaseUnknown(base);
        if (name == 0) revert RoleNameMissing();
        if (roles[role].definedAt != 0) revert RoleKnown(role);
        bytes16[] storage votes = supporters[keccak256(abi.encode(role, name, base))];
        uint64 count = 1;
        for (uint256 i = 0; i < votes.length; i++) {
            if (votes[i] == org) revert VoteRepeated(org);
            if (authorities.seats(votes[i]) != 0) count++;
        }
        votes.push(org);
        emit RoleSupported(role, org, name, base);
        if (2 * count <= authorities.seated()) return;
        roles[role] = Role(name, nowMs(), base);
        all.push(role);
        emit RoleDefined(role, name, base);
    }

    /// @notice Assigns a role to a person whom the organisation that sends is going to enrol under the role's base.
    function assign(bytes32 person, uint8 role) external {
        Directory directory_ = directory;
        // Only while the address book holds this contract.
        directory_.requireOrganisation(address(this));
        bytes16 org = directory_.requireOrganisation(msg.sender);
        if (roles[role].definedAt == 0) revert RoleUnknown(role);
        (,, uint64 since) = directory_.personOf(person);
        if (since != 0) revert PersonAlreadyEnrolled(person);
        if (assignments[org][person].assignedAt != 0) revert RoleAlreadyAssigned(person);
        assignments[org][person] = Assignment(nowMs(), role);
        emit RoleAssigned(person, org, role);
    }

    /// @notice The role of a person: the one the home organisation assigned, if its base is the role the person
    ///         was enrolled under, else that; zero if nobody has this id.
    function roleOf(bytes32 person) public view returns (uint8) {
        (bytes16 org, uint8 base,) = directory.personOf(person);
        uint8 role = assignments[org][person].role;
        return role != 0 && roles[role].base == base ? role : base;
    }

    /// @notice Is `person` enrolled in this role, and not suspended?
    function hasRole(bytes32 person, uint8 role) external view returns (bool) {
        (, uint8 base,) = directory.personOf(person);
        return directory.hasRole(person, base) && roleOf(person) == role;
    }

    /// @notice How many roles are defined.
    function roleCount() external view returns (uint256) {
        return all.length;
    }
}
