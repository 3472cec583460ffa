// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {nowMs} from "./Clock.sol";

/// @title Who exists: organisations with their senders and record keys, people with their roles and signers.
/// @notice Holds no name, no birth date and nothing derived from one: ids are random or salted commitments.
/// @dev Immutable, without owner. Organisations after the founders come and go by votes in `Authorities`.
///      Storage (see docs/wire.md): slot 0 organisations, slot 1 organisationOf, slot 2 people, slot 3 all.
contract Directory {
    /// Shortest ERC-7913 signer: a plain address.
    uint256 public constant SIGNER_BYTES_MIN = 20;
    /// Longest ERC-7913 signer accepted: verifier address and an RSA-sized key.
    uint256 public constant SIGNER_BYTES_MAX = 1024;
    /// Roles are 1 (patient) to ROLE_MAX (auditor).
    uint8 public constant ROLE_MAX = 5;
    /// The role that holds consents.
    uint8 public constant PATIENT = 1;
    /// The role that treats.
    uint8 public constant CLINICIAN = 2;
    /// The role that reviews.
    uint8 public constant AUDITOR = 5;
    /// Most organisations ever, removed ones included.
    uint256 public constant ORGANISATIONS_MAX = 1000;

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
    /// Every organisation there ever was, in order of admission.
    bytes16[] public all;
    /// The contract whose votes admit and remove organisations.
    address public immutable authorities;

    event OrganisationFounded(bytes16 indexed org, address indexed sender, bytes32 recordKey);
    event OrganisationRemoved(bytes16 indexed org);
    event PersonEnrolled(bytes32 indexed person, bytes16 indexed org, uint8 role, bool vaultKept);
    event PersonSuspended(bytes32 indexed person, bytes16 indexed org);

    /// The caller sends for no active organisation.
    error SenderNotAnOrganisation(address sender);
    /// Only the votes of the authorities decide who exists.
    error NotTheAuthorities(address caller);
    /// An organisation has this record key or this sender, or had it once.
    error OrganisationKnown(bytes16 org);
    /// No active organisation has this id.
    error OrganisationUnknown(bytes16 org);
    /// There were as many organisations as the directory holds.
    error DirectoryFull();
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
    /// @param authorities_ Where `Authorities` is about to be created.
    constructor(bytes32[] memory recordKeys, address[] memory senders, address authorities_) {
        authorities = authorities_;
        for (uint256 i = 0; i < recordKeys.length; i++) found(recordKeys[i], senders[i]);
    }

    /// @notice Adds an organisation the authorities voted for.
    function admit(bytes32 recordKey, address sender) external returns (bytes16 org) {
        if (msg.sender != authorities) revert NotTheAuthorities(msg.sender);
        return found(recordKey, sender);
    }

    /// @notice Removes an organisation the authorities voted out: its account sends nothing any more, its
    ///         people, devices and log head stay as they are. It does not come back under the same keys.
    function remove(bytes16 org) external {
        if (msg.sender != authorities) revert NotTheAuthorities(msg.sender);
        if (!organisations[org].active) revert OrganisationUnknown(org);
        organisations[org].active = false;
        emit OrganisationRemoved(org);
    }

    /// @notice Reverts unless an organisation with this record key and sender could be admitted.
    function requireNew(bytes32 recordKey, address sender) public view returns (bytes16 org) {
        org = bytes16(sha256(abi.encodePacked(recordKey)));
        if (organisations[org].since != 0) revert OrganisationKnown(org);
        if (organisationOf[sender] != 0) revert OrganisationKnown(organisationOf[sender]);
        if (all.length == ORGANISATIONS_MAX) revert DirectoryFull();
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

    /// @notice Is this an organisation, and not removed?
    function isActive(bytes16 org) external view returns (bool) {
        return organisations[org].active;
    }

    /// @notice How many organisations there ever were.
    function organisationCount() external view returns (uint256) {
        return all.length;
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

    /// @notice Is `person` enrolled in this role, and not suspended?
    function hasRole(bytes32 person, uint8 role) external view returns (bool) {
        Person storage one = people[person];
        return one.since != 0 && one.role == role && one.suspendedAt == 0;
    }

    /// @notice Home organisation of `person`, role, and since when in milliseconds; zeros if nobody has this id.
    function personOf(bytes32 person) external view returns (bytes16 org, uint8 role, uint64 since) {
        Person storage one = people[person];
        return (one.org, one.role, one.since);
    }

    function found(bytes32 recordKey, address sender) private returns (bytes16 org) {
        org = requireNew(recordKey, sender);
        organisations[org] = Organisation(recordKey, sender, nowMs(), true);
        organisationOf[sender] = org;
        all.push(org);
        emit OrganisationFounded(org, sender, recordKey);
    }
}
