// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {nowMs} from "./Clock.sol";
import {Directory} from "./Directory.sol";
import {Grants} from "./Grants.sol";
import {Policies} from "./Policies.sol";
import {Typed} from "./Typed.sol";

/// @title Consents, and what happens without one: a clinician breaks the glass, signed, short, counted, and
///        reviewed by an auditor afterwards.
/// @dev Immutable, without owner. Storage (see docs/wire.md): slots 0 and 1 those of `Grants`, slot 2 entries,
///      slot 3 allEntries, slot 4 used.
contract Consents is Grants {
    /// Longest access without consent.
    uint64 public constant BREAK_GLASS_MAX_MS = 60 minutes * 1000;
    /// A younger role needs a second clinician.
    uint64 public constant ROLE_AGE_MIN_MS = 1 days * 1000;
    /// Most entries of one clinician in one day (UTC).
    uint32 public constant BREAK_GLASS_PER_DAY_MAX = 10;
    /// An entry may be dated ahead of block time by this much, for clocks.
    uint64 public constant AHEAD_MAX_MS = 60 * 1000;
    /// An auditor found the access justified.
    uint8 public constant JUSTIFIED = 1;
    /// An auditor found it not justified.
    uint8 public constant UNJUSTIFIED = 2;

    struct Entry {
        /// Whose record.
        bytes32 patient;
        /// Who opens it.
        bytes32 clinician;
        /// Who stands by it; zero for nobody.
        bytes32 second;
        /// Salted commitment to the reason.
        bytes32 reason;
        /// Milliseconds.
        uint64 from;
        /// Milliseconds, exclusive.
        uint64 until;
        /// Milliseconds at which the entry arrived; later than `from` if the ledger stood still meanwhile.
        uint64 givenAt;
        /// Milliseconds; zero until reviewed.
        uint64 reviewedAt;
        /// Who reviewed it.
        bytes32 auditor;
        /// Salted commitment to the auditor's remark.
        bytes32 remark;
        /// JUSTIFIED or UNJUSTIFIED once reviewed.
        uint8 verdict;
    }

    struct BreakGlass {
        bytes32 patient;
        bytes32 clinician;
        bytes32 second;
        bytes32 reason;
        uint64 from;
        uint64 until;
        bytes32 nonce;
    }

    bytes32 private constant BREAK_GLASS_TYPE = keccak256(
        "BreakGlass(bytes32 patient,bytes32 clinician,bytes32 second,bytes32 reason,uint64 from,uint64 until,bytes32 nonce)"
    );
    bytes32 private constant REVIEW_TYPE =
        keccak256("Review(bytes32 entry,bytes32 auditor,uint8 verdict,bytes32 remark)");

    /// Entries by id, keccak256(abi.encode(patient, clinician, nonce)).
    mapping(bytes32 id => Entry) public entries;
    /// Every entry, in order of arrival.
    bytes32[] public allEntries;
    /// Entries of a clinician on a day since 1970.
    mapping(bytes32 clinician => mapping(uint64 day => uint32)) public used;

    event GlassBroken(
        bytes32 indexed id, bytes32 indexed patient, bytes32 indexed clinician, bytes32 second, uint64 until
    );
    event GlassReviewed(bytes32 indexed id, bytes32 indexed auditor, uint8 verdict);

    /// The sender's organisation employs no such clinician now.
    error ClinicianUnknown(bytes32 clinician);
    /// Nobody was ever enrolled as a patient under this id.
    error NotAPatient(bytes32 patient);
    /// The entry is empty, longer than an hour, or ahead of its time.
    error GlassWindowWrong(uint64 from, uint64 until);
    /// The reason's commitment is missing.
    error ReasonMissing();
    /// The role is younger than a day and nobody stands by.
    error RoleTooYoung(bytes32 clinician);
    /// The second clinician is the first, or none of the same organisation.
    error SecondClinicianWrong(bytes32 second);
    /// This entry arrived before.
    error GlassRepeated(bytes32 id);
    /// The clinician has as many entries on this day as one may.
    error GlassQuotaUsed(bytes32 clinician, uint64 day);
    /// No entry has this id.
    error EntryUnknown(bytes32 id);
    /// The entry was reviewed before.
    error EntryReviewed(bytes32 id);
    /// Nobody enrolled and active as an auditor has this id.
    error AuditorUnknown(bytes32 auditor);
    /// A verdict is justified or not.
    error VerdictUnknown(uint8 verdict);

    constructor(Directory directory_, bytes32 genesis_, Policies policies_)
        Typed(directory_, genesis_)
        Grants(policies_)
    {}

    /// @notice Logs an access without consent, by a clinician of the organisation that sends.
    /// @dev An entry that arrives late, after a halt, is logged all the same.
    /// @param m What the clinician signed, and the second one if there is one.
    function breakGlass(BreakGlass calldata m, bytes calldata signature, bytes calldata secondSignature)
        external
        returns (bytes32 id)
    {
        bytes16 org = directory.requireOrganisation(msg.sender);
        uint64 time = nowMs();
        bool windowOk = m.until > m.from && m.until - m.from <= BREAK_GLASS_MAX_MS && m.from <= time + AHEAD_MAX_MS;
        if (!windowOk) revert GlassWindowWrong(m.from, m.until);
        if (m.reason == 0) revert ReasonMissing();
        id = entryId(m.patient, m.clinician, m.nonce);
        if (entries[id].givenAt != 0) revert GlassRepeated(id);
        requirePeople(org, m);
        uint64 day = m.from / (1 days * 1000);
        if (used[m.clinician][day] >= BREAK_GLASS_PER_DAY_MAX) revert GlassQuotaUsed(m.clinician, day);
        bytes32 digest = breakGlassDigest(m);
        requireSigned(m.clinician, digest, signature);
        if (m.second != 0) requireSigned(m.second, digest, secondSignature);
        used[m.clinician][day]++;
        entries[id] = Entry(m.patient, m.clinician, m.second, m.reason, m.from, m.until, time, 0, 0, 0, 0);
        allEntries.push(id);
        emit GlassBroken(id, m.patient, m.clinician, m.second, m.until);
    }

    /// @notice Relays an auditor's verdict on an entry; once.
    function review(bytes32 id, bytes32 auditor, uint8 verdict, bytes32 remark, bytes calldata signature) external {
        Entry storage entry = entries[id];
        if (entry.givenAt == 0) revert EntryUnknown(id);
        if (entry.reviewedAt != 0) revert EntryReviewed(id);
        if (verdict != JUSTIFIED && verdict != UNJUSTIFIED) revert VerdictUnknown(verdict);
        if (!directory.hasRole(auditor, directory.AUDITOR())) revert AuditorUnknown(auditor);
        requireSigned(auditor, reviewDigest(id, auditor, verdict, remark), signature);
        (entry.reviewedAt, entry.auditor, entry.remark, entry.verdict) = (nowMs(), auditor, remark, verdict);
        emit GlassReviewed(id, auditor, verdict);
    }

    /// @notice The id under which an entry is stored.
    function entryId(bytes32 patient, bytes32 clinician, bytes32 nonce) public pure returns (bytes32) {
        return keccak256(abi.encode(patient, clinician, nonce));
    }

    /// @notice What the clinicians sign.
    function breakGlassDigest(BreakGlass calldata m) public view returns (bytes32) {
        return typedDigest(
            keccak256(
                abi.encode(BREAK_GLASS_TYPE, m.patient, m.clinician, m.second, m.reason, m.from, m.until, m.nonce)
            )
        );
    }

    /// @notice What the auditor signs.
    function reviewDigest(bytes32 id, bytes32 auditor, uint8 verdict, bytes32 remark) public view returns (bytes32) {
        return typedDigest(keccak256(abi.encode(REVIEW_TYPE, id, auditor, verdict, remark)));
    }

    /// @notice How many entries there are.
    function entryCount() external view returns (uint256) {
        return allEntries.length;
    }

    function domainName() internal pure override returns (string memory) {
        return "Aceso Consents";
    }

    function requirePeople(bytes16 org, BreakGlass calldata m) private view {
        (, uint8 role,) = directory.personOf(m.patient);
        if (role != directory.PATIENT()) revert NotAPatient(m.patient);
        uint64 since = requireClinician(org, m.clinician);
        if (m.second == 0) {
            if (m.from < since + ROLE_AGE_MIN_MS) revert RoleTooYoung(m.clinician);
            return;
        }
        (bytes16 secondOrg,,) = directory.personOf(m.second);
        bool standsBy =
            m.second != m.clinician && secondOrg == org && directory.hasRole(m.second, directory.CLINICIAN());
        if (!standsBy) revert SecondClinicianWrong(m.second);
    }

    function requireClinician(bytes16 org, bytes32 clinician) private view returns (uint64) {
        (bytes16 home,, uint64 since) = directory.personOf(clinician);
        if (home != org || !directory.hasRole(clinician, directory.CLINICIAN())) revert ClinicianUnknown(clinician);
        return since;
    }
}
