// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {nowMs} from "./Clock.sol";
import {IPolicy} from "./IPolicy.sol";
import {Policies} from "./Policies.sol";
import {Typed} from "./Typed.sol";

/// @title Who may open a patient's record: consents the patient signs and anyone relays.
/// @notice What is allowed stands off the ledger; here is only its salted commitment `terms`.
/// @dev Storage (see docs/wire.md): slot 0 grants, slot 1 policyOf; a grant's four slots are written once by
///      `give` (or one burnt by `burn`) and only their `revokedAt` changes after that.
abstract contract Grants is Typed {
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

    bytes32 private constant CONSENT_TYPE = keccak256(
        "Consent(bytes32 patient,bytes32 grantee,bytes32 terms,uint64 from,uint64 until,bytes32 nonce,uint64 deadline)"
    );
    bytes32 private constant CONSENT_UNDER_POLICY_TYPE = keccak256(
        "ConsentUnderPolicy(bytes32 patient,bytes32 grantee,bytes32 terms,uint64 from,uint64 until,bytes32 nonce,uint64 deadline,address policy)"
    );
    bytes32 private constant REVOCATION_TYPE = keccak256("Revocation(bytes32 grant)");
    /// Gas a policy may use for its answer.
    uint256 public constant POLICY_GAS_MAX = 1_000_000;

    /// The policies a consent may name.
    Policies public immutable policies;
    /// Consents by id, keccak256(abi.encode(patient, nonce)).
    mapping(bytes32 id => Grant) public grants;
    /// The policy a consent is given under; zero for none.
    mapping(bytes32 id => address) public policyOf;

    event ConsentGiven(bytes32 indexed id, bytes32 indexed patient, bytes32 indexed grantee, uint64 from, uint64 until);
    event ConsentUnder(bytes32 indexed id, address indexed policy);
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
    /// No policy of the registry that is still offered stands there.
    error PolicyUnknown(address policy);
    /// No consent has this id.
    error GrantUnknown(bytes32 id);
    /// The consent was withdrawn before.
    error GrantAlreadyRevoked(bytes32 id);

    constructor(Policies policies_) {
        policies = policies_;
    }

    /// @notice Relays a consent. Nonces are unordered: no message waits for another.
    /// @param m What the patient signed.
    /// @param signature In the form the patient's ERC-7913 signer expects.
    function give(Message calldata m, bytes calldata signature) external returns (bytes32 id) {
        return accept(m, consentDigest(m), signature);
    }

    /// @notice Relays a consent that is good only where `policy` agrees, each time a class is opened.
    function giveUnder(Message calldata m, address policy, bytes calldata signature) external returns (bytes32 id) {
        if (!policies.isOffered(policy)) revert PolicyUnknown(policy);
        id = accept(m, consentUnderDigest(m, policy), signature);
        policyOf[id] = policy;
        emit ConsentUnder(id, policy);
    }

    function accept(Message calldata m, bytes32 digest, bytes calldata signature) private returns (bytes32 id) {
        uint64 time = nowMs();
        if (time > m.deadline) revert DeadlinePassed(m.deadline);
        if (m.until <= m.from || m.until <= time) revert WindowEmpty(m.from, m.until);
        id = grantId(m.patient, m.nonce);
        if (grants[id].patient != 0) revert NonceUsed(id);
        if (!directory.isPatient(m.patient)) revert PatientUnknown(m.patient);
        if (!directory.isGrantee(m.grantee)) revert GranteeUnknown(m.grantee);
        requireSigned(m.patient, digest, signature);
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

    /// @notice What the patient signs to give the consent under a policy.
    function consentUnderDigest(Message calldata m, address policy) public view returns (bytes32) {
        return typedDigest(
            keccak256(
                abi.encode(
                    CONSENT_UNDER_POLICY_TYPE,
                    m.patient,
                    m.grantee,
                    m.terms,
                    m.from,
                    m.until,
                    m.nonce,
                    m.deadline,
                    policy
                )
            )
        );
    }

    /// @notice Whom a consent is for; zero if there is none.
    function granteeOf(bytes32 id) external view returns (bytes32) {
        return grants[id].grantee;
    }

    /// @notice Is the consent good for this class in this block? Which classes its terms name stands off the
    ///         ledger.
    function permits(bytes32 id, uint8 class) external view returns (bool) {
        Grant storage grant = grants[id];
        uint64 time = nowMs();
        if (grant.grantee == 0 || grant.revokedAt != 0 || time < grant.from || time >= grant.until) return false;
        return policyAgrees(id, class);
    }

    /// @notice Does the policy a consent was given under agree in this block? Without one: yes. A policy that
    ///         fails, or takes too long, does not agree.
    function policyAgrees(bytes32 id, uint8 class) public view returns (bool) {
        address policy = policyOf[id];
        if (policy == address(0)) return true;
        Grant storage grant = grants[id];
        (bool answered, bytes memory answer) = policy.staticcall{gas: POLICY_GAS_MAX}(
            abi.encodeCall(IPolicy.permits, (id, grant.patient, grant.grantee, class))
        );
        return answered && answer.length == 32 && uint256(bytes32(answer)) == 1;
    }

    /// @notice What the patient signs to withdraw the consent.
    function revocationDigest(bytes32 id) public view returns (bytes32) {
        return typedDigest(keccak256(abi.encode(REVOCATION_TYPE, id)));
    }
}
