// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {nowMs} from "./Clock.sol";
import {Directory} from "./Directory.sol";

/// @title The policy contracts a consent can name: added by organisations, never changed.
/// @dev Immutable, without owner. Storage (see docs/wire.md): slot 0 policies, slot 1 versions, slot 2 all.
contract Policies {
    /// Most policies ever, withdrawn ones included.
    uint256 public constant POLICIES_MAX = 256;

    struct Policy {
        /// What it is called, ASCII, left-aligned.
        bytes32 name;
        /// Hash of its code when it was added.
        bytes32 codeHash;
        /// Who added it.
        bytes16 org;
        /// Milliseconds; zero while it does not exist.
        uint64 addedAt;
        /// Milliseconds; zero while it is offered.
        uint64 withdrawnAt;
        /// Counts from 1 for each name.
        uint32 version;
    }

    /// Who exists.
    Directory public immutable directory;
    /// Policies by where they stand.
    mapping(address policy => Policy) public policies;
    /// How many versions a name has, and so the number of its newest.
    mapping(bytes32 name => uint32) public versions;
    /// Every policy there ever was, in order.
    address[] public all;

    event PolicyAdded(address indexed policy, bytes32 indexed name, uint32 version, bytes16 indexed org);
    event PolicyWithdrawn(address indexed policy, bytes16 indexed org);

    /// A policy has a name.
    error PolicyNameMissing();
    /// No contract stands there.
    error PolicyWithoutCode(address policy);
    /// The policy was added before.
    error PolicyKnown(address policy);
    /// There were as many policies as the registry holds.
    error PoliciesFull();
    /// No policy that is still offered stands there.
    error PolicyUnknown(address policy);
    /// Only the organisation that added a policy withdraws it.
    error NotTheHomeOrganisation(bytes16 home);

    constructor(Directory directory_) {
        directory = directory_;
    }

    /// @notice Offers the contract at `policy` under a name, as its next version.
    function add(bytes32 name, address policy) external returns (uint32 version) {
        bytes16 org = directory.requireOrganisation(msg.sender);
        if (name == 0) revert PolicyNameMissing();
        if (policy.code.length == 0) revert PolicyWithoutCode(policy);
        if (policies[policy].addedAt != 0) revert PolicyKnown(policy);
        if (all.length >= POLICIES_MAX) revert PoliciesFull();
        version = ++versions[name];
        policies[policy] = Policy(name, policy.codehash, org, nowMs(), 0, version);
        all.push(policy);
        emit PolicyAdded(policy, name, version, org);
    }

    /// @notice Ends the offer: no new consent names the policy. Those given under it stay under it.
    function withdraw(address policy) external {
        bytes16 org = directory.requireOrganisation(msg.sender);
        if (!isOffered(policy)) revert PolicyUnknown(policy);
        if (policies[policy].org != org) revert NotTheHomeOrganisation(policies[policy].org);
        policies[policy].withdrawnAt = nowMs();
        emit PolicyWithdrawn(policy, org);
    }

    /// @notice May a new consent name this policy?
    function isOffered(address policy) public view returns (bool) {
        return policies[policy].addedAt != 0 && policies[policy].withdrawnAt == 0;
    }

    /// @notice How many policies there ever were.
    function policyCount() external view returns (uint256) {
        return all.length;
    }
}
