// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {nowMs} from "./Clock.sol";

/// @title Who exists: organisations with their senders and record keys, people with their roles and signers.
/// @notice Holds no name, no birth date and nothing derived from one: ids are random or salted commitments.
/// @dev Immutable, without owner. The first form knows the founding organisations only.
///      Storage (see docs/wire.md): slot 0 organisations, slot 1 organisationOf, slot 2 people.
contract Directory {
    /// Shortest ERC-7913 signer: a plain address.
    uint256 public constant SIGNER_BYTES_MIN = 20;
    /// Longest ERC-7913 signer accepted: verifier address and an RSA-sized key.
    uint256 public constant SIGNER_BYTES_MAX = 1024;
    /// Roles are 1 (patient) to ROLE_MAX (auditor).
    uint8 public constant ROLE_MAX = 5;
    /// The role that holds consents.
    uint8 public constant PATIENT = 1;

    struct Organisation {
        /// Ed25519 key that signs tree heads: one whole slot, so that one storage proof shows it.
        bytes32 recordKey;
        /// Account that sends the organisation's transactions.
        address sender;
        /// Milliseconds; zero while the organisation does not exist.
        uint64 since;
        /// False once removed.
        bool active;
    }

    struct Person {
        /// Home organisation.
        bytes16 org;
        /// Milliseconds; zero while the person does not exist.
        uint64 since;
        /// 1 patient, 2 clinician, 3 administrator, 4 family, 5 auditor.
        uint8 role;
        /// Does the home organisation's vault keep the signing key?
        bool vaultKept;
        /// Milliseconds, or zero.
        uint64 suspendedAt;
        /// ERC-7913: an address, or a verifier's address followed by the key.
        bytes signer;
    }

    /// Organisations by id, the first 16 bytes of SHA-256 of the first record key.
    mapping(bytes16 org => Organisation) public organisations;
    /// The organisation an account sends for.
    mapping(address sender => bytes16 org) public organisationOf;
    /// People by id.
    mapping(bytes32 person => Person) public people;

    event OrganisationFounded(bytes16 indexed org, address indexed sender, bytes32 recordKey);
    event PersonEnrolled(bytes32 indexed person, bytes16 indexed org, uint8 role, bool vaultKept);
    event PersonSuspended(bytes32 indexed person, bytes16 indexed org);

    /// The caller sends for no active organisation.
    error SenderNotAnOrganisation(address sender);
    /// Founders must differ in record key and sender.
    error FounderRepeated();
    /// Ids that end in sixteen zero bytes stand for organisations.
    error PersonIdReserved(bytes32 person);
    /// A person is enrolled once.
    error PersonAlreadyEnrolled(bytes32 person);
    /// The role is not one of the five.
    error RoleUnknown(uint8 role);
    /// The signer is no ERC-7913 signer of a bearable length.
    error SignerLengthWrong(uint256 length);
    /// Nobody has this id.
    error PersonUnknown(bytes32 person);
    /// Only the home organisation decides about its people.
    error NotTheHomeOrganisation(bytes16 home);

    /// @param recordKeys Ed25519 record keys of the founding organisations.
    /// @param senders Their transaction senders, in the same order.
    constructor(bytes32[] memory recordKeys, address[] memory senders) {
        for (uint256 i = 0; i < recordKeys.length; i++) {
            bytes16 org = bytes16(sha256(abi.encodePacked(recordKeys[i])));
            if (organisations[org].since != 0 || organisationOf[senders[i]] != 0) revert FounderRepeated();
            organisations[org] = Organisation(recordKeys[i], senders[i], nowMs(), true);
            organisationOf[senders[i]] = org;
            emit OrganisationFounded(org, senders[i], recordKeys[i]);
        }
    }

    /// @notice Enrols a person under the organisation that sends.
    /// @param person New id, not ending in sixteen zero bytes.
    /// @param role 1 to 5.
    /// @param signer ERC-7913 signer of the person's consents.
    /// @param vaultKept Does the organisation's vault keep that signing key?
    function enrol(bytes32 person, uint8 role, bytes calldata signer, bool vaultKept) external {
        bytes16 org = requireOrganisation(msg.sender);
        if (uint128(uint256(person)) == 0) revert PersonIdReserved(person);
        if (role == 0 || role > ROLE_MAX) revert RoleUnknown(role);
        if (signer.length < SIGNER_BYTES_MIN || signer.length > SIGNER_BYTES_MAX) {
            revert SignerLengthWrong(signer.length);
        }
        if (people[person].since != 0) revert PersonAlreadyEnrolled(person);
        people[person] = Person(org, nowMs(), role, vaultKept, 0, signer);
        emit PersonEnrolled(person, org, role, vaultKept);
    }

    /// @notice Suspends a person of the organisation that sends; a second time changes nothing.
    function suspend(bytes32 person) external {
        bytes16 org = requireOrganisation(msg.sender);
        Person storage one = people[person];
        if (one.since == 0) revert PersonUnknown(person);
        if (one.org != org) revert NotTheHomeOrganisation(one.org);
        if (one.suspendedAt != 0) return;
        one.suspendedAt = nowMs();
        emit PersonSuspended(person, org);
    }

    /// @notice The active organisation `sender` sends for; reverts if there is none.
    function requireOrganisation(address sender) public view returns (bytes16 org) {
        org = organisationOf[sender];
        if (!organisations[org].active) revert SenderNotAnOrganisation(sender);
    }

    /// @notice May `person` give consents now?
    function isPatient(bytes32 person) external view returns (bool) {
        Person storage one = people[person];
        return one.role == PATIENT && one.suspendedAt == 0;
    }

    /// @notice Can a consent name `id`? An enrolled person, or an active organisation followed by sixteen zero bytes.
    function isGrantee(bytes32 id) external view returns (bool) {
        if (uint128(uint256(id)) == 0) return organisations[bytes16(id)].active;
        Person storage one = people[id];
        return one.since != 0 && one.suspendedAt == 0;
    }

    /// @notice The signer of `person`; empty if nobody has this id.
    function signerOf(bytes32 person) external view returns (bytes memory) {
        return people[person].signer;
    }
}
