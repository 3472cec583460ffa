// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {nowMs} from "./Clock.sol";
import {Directory} from "./Directory.sol";

/// @title Who may open a patient's record: consents the patient signs and anyone relays.
/// @notice What is allowed stands off the ledger; here is only its salted commitment `terms`.
/// @dev Immutable, without owner. EIP-712 with the genesis hash as salt, so that a signature is good on one
///      ledger only. Storage (see docs/wire.md): slot 0 grants; a grant's four slots are written once by
///      `give` (or one burnt by `burn`) and only their `revokedAt` changes after that.
contract Consents {
    struct Grant {
        /// Whose record. Never zero once the id is used.
        bytes32 patient;
        /// Who may open it; zero if the id was burnt before the consent arrived.
        bytes32 grantee;
        /// SHA-256 commitment to classes and purpose.
        bytes32 terms;
        /// Valid from, milliseconds.
        uint64 from;
        /// Valid until (exclusive), milliseconds.
        uint64 until;
        /// Milliseconds; zero while given.
        uint64 revokedAt;
        /// Milliseconds at which the consent arrived.
        uint64 givenAt;
    }

    struct Message {
        bytes32 patient;
        bytes32 grantee;
        bytes32 terms;
        uint64 from;
        uint64 until;
        bytes32 nonce;
        uint64 deadline;
    }

    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)");
    bytes32 private constant CONSENT_TYPE = keccak256(
        "Consent(bytes32 patient,bytes32 grantee,bytes32 terms,uint64 from,uint64 until,bytes32 nonce,uint64 deadline)"
    );
    bytes32 private constant REVOCATION_TYPE = keccak256("Revocation(bytes32 grant)");
    string private constant NAME = "Aceso Consents";
    string private constant VERSION = "1";

    /// Who exists.
    Directory public immutable directory;
    /// SHA-256 of the genesis document.
    bytes32 public immutable genesis;
    /// Consents by id, keccak256(abi.encode(patient, nonce)).
    mapping(bytes32 id => Grant) public grants;

    event ConsentGiven(bytes32 indexed id, bytes32 indexed patient, bytes32 indexed grantee, uint64 from, uint64 until);
    event ConsentRevoked(bytes32 indexed id, bytes32 indexed patient);

    /// The message may no longer be relayed.
    error DeadlinePassed(uint64 deadline);
    /// The window is empty or over.
    error WindowEmpty(uint64 from, uint64 until);
    /// This patient used this nonce before, or burnt it.
    error NonceUsed(bytes32 id);
    /// Nobody enrolled as a patient has this id, or they are suspended.
    error PatientUnknown(bytes32 patient);
    /// No enrolled person and no active organisation has this id.
    error GranteeUnknown(bytes32 grantee);
    /// The signature is not the patient's over this message.
    error SignatureWrong(bytes32 patient);
    /// No consent has this id.
    error GrantUnknown(bytes32 id);
    /// The consent was withdrawn before.
    error GrantAlreadyRevoked(bytes32 id);

    constructor(Directory directory_, bytes32 genesis_) {
        directory = directory_;
        genesis = genesis_;
    }

    /// @notice Relays a consent. Nonces are unordered: no message waits for another.
    /// @param m What the patient signed.
    /// @param signature In the form the patient's ERC-7913 signer expects.
    function give(Message calldata m, bytes calldata signature) external returns (bytes32 id) {
        uint64 time = nowMs();
        if (time > m.deadline) revert DeadlinePassed(m.deadline);
        if (m.until <= m.from || m.until <= time) revert WindowEmpty(m.from, m.until);
        id = grantId(m.patient, m.nonce);
        if (grants[id].patient != 0) revert NonceUsed(id);
        if (!directory.isPatient(m.patient)) revert PatientUnknown(m.patient);
        if (!directory.isGrantee(m.grantee)) revert GranteeUnknown(m.grantee);
        requireSigned(m.patient, consentDigest(m), signature);
        grants[id] = Grant(m.patient, m.grantee, m.terms, m.from, m.until, 0, time);
        emit ConsentGiven(id, m.patient, m.grantee, m.from, m.until);
    }

    /// @notice Relays the withdrawal of a consent. It never expires.
    function revoke(bytes32 id, bytes calldata signature) external {
        Grant storage grant = grants[id];
        if (grant.patient == 0) revert GrantUnknown(id);
        if (grant.revokedAt != 0) revert GrantAlreadyRevoked(id);
        requireSigned(grant.patient, revocationDigest(id), signature);
        grant.revokedAt = nowMs();
        emit ConsentRevoked(id, grant.patient);
    }

    /// @notice Withdraws a consent that has not arrived yet: its nonce is burnt, it can never be relayed.
    /// @dev The same signature as for `revoke`; a consent that did arrive is revoked.
    function burn(bytes32 patient, bytes32 nonce, bytes calldata signature) external {
        bytes32 id = grantId(patient, nonce);
        Grant storage grant = grants[id];
        if (grant.revokedAt != 0) revert GrantAlreadyRevoked(id);
        requireSigned(patient, revocationDigest(id), signature);
        grant.patient = patient;
        grant.revokedAt = nowMs();
        emit ConsentRevoked(id, patient);
    }

    /// @notice The id under which a consent is stored.
    function grantId(bytes32 patient, bytes32 nonce) public pure returns (bytes32) {
        return keccak256(abi.encode(patient, nonce));
    }

    /// @notice What the patient signs to give the consent.
    function consentDigest(Message calldata m) public view returns (bytes32) {
        return typedDigest(
            keccak256(
                abi.encode(CONSENT_TYPE, m.patient, m.grantee, m.terms, m.from, m.until, m.nonce, m.deadline)
            )
        );
    }

    /// @notice What the patient signs to withdraw the consent.
    function revocationDigest(bytes32 id) public view returns (bytes32) {
        return typedDigest(keccak256(abi.encode(REVOCATION_TYPE, id)));
    }

    /// @notice ERC-5267: how wallets learn the signing domain.
    function eip712Domain()
        external
        view
        returns (bytes1, string memory, string memory, uint256, address, bytes32, uint256[] memory)
    {
        return (hex"1f", NAME, VERSION, block.chainid, address(this), genesis, new uint256[](0));
    }

    function typedDigest(bytes32 structHash) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                DOMAIN_TYPE, keccak256(bytes(NAME)), keccak256(bytes(VERSION)), block.chainid, address(this), genesis
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function requireSigned(bytes32 patient, bytes32 digest, bytes calldata signature) private view {
        if (!SignatureChecker.isValidSignatureNow(directory.signerOf(patient), digest, signature)) {
            revert SignatureWrong(patient);
        }
    }
}
