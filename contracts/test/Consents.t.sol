// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Anchors} from "../src/Anchors.sol";
import {Consents} from "../src/Consents.sol";
import {Grants} from "../src/Grants.sol";
import {IPolicy} from "../src/IPolicy.sol";
import {P256Verifier} from "../src/P256Verifier.sol";
import {Policies} from "../src/Policies.sol";
import {TwoClinicians} from "../src/TwoClinicians.sol";
import {Typed} from "../src/Typed.sol";
import {Ward} from "./Ward.sol";

/// A policy that answers whatever it is told to: yes, no, nonsense, nothing, for ever.
contract Moody is IPolicy {
    uint256 public mood;

    constructor(uint256 mood_) {
        mood = mood_;
    }

    function permits(bytes32, bytes32, bytes32, uint8) external view returns (bool) {
        uint256 answer = mood;
        if (answer == 3) revert("not today");
        if (answer == 4) while (true) {}
        assembly ("memory-safe") {
            mstore(0, answer)
            return(0, 32)
        }
    }
}

/// A wallet that is a contract (ERC-1271): it vouches for what its owner signed, until it is closed, and then
/// answers as it was told to.
contract Wallet {
    address private immutable owner;
    uint256 private answer;

    constructor(address owner_) {
        owner = owner_;
    }

    function close(uint256 answer_) external {
        answer = answer_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (answer == 1) return 0xffffffff;
        if (answer == 2) revert("closed");
        if (answer == 3) {
            assembly ("memory-safe") {
                mstore(0, not(0))
                return(0, 32)
            }
        }
        bytes32 r = bytes32(signature[0:32]);
        bytes32 s = bytes32(signature[32:64]);
        bool good = signature.length == 65 && ecrecover(digest, uint8(signature[64]), r, s) == owner;
        return good ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

/// Consents, policies and broken glass.
contract ConsentsTest is Ward {
    bytes32 private constant PATIENT_ID = bytes32(uint256(1));
    bytes32 private constant CLINICIAN_ID = bytes32(uint256(2));
    bytes32 private constant SECOND_ID = bytes32(uint256(3));
    bytes32 private constant AUDITOR_ID = bytes32(uint256(4));
    uint256 private constant P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551;
    uint256 private constant PATIENT_KEY = 0xa11ce;
    uint256 private constant CLINICIAN_KEY = 0xd0c;
    uint256 private constant SECOND_KEY = 0xd0d;
    uint256 private constant AUDITOR_KEY = 0xa0d;

    Policies private policies;
    Consents private consents;
    P256Verifier private verifier;

    function setUp() public {
        found(2, 1);
        policies = new Policies(directory);
        consents = new Consents(directory, bytes32(uint256(7)), policies);
        verifier = new P256Verifier();
        be(sender(0));
        directory.enrol(PATIENT_ID, 1, abi.encodePacked(vm.addr(PATIENT_KEY)), false);
        directory.enrol(CLINICIAN_ID, 2, abi.encodePacked(vm.addr(CLINICIAN_KEY)), false);
        directory.enrol(SECOND_ID, 2, abi.encodePacked(vm.addr(SECOND_KEY)), false);
        directory.enrol(AUDITOR_ID, 5, abi.encodePacked(vm.addr(AUDITOR_KEY)), false);
    }

    function signature(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function nowMs() private view returns (uint64) {
        return uint64(vm.getBlockTimestamp()) * 1000;
    }

    function consent(bytes32 nonce) private view returns (Grants.Message memory) {
        uint64 time = nowMs();
        return Grants.Message(PATIENT_ID, CLINICIAN_ID, bytes32(uint256(9)), time, time + 1000, nonce, time);
    }

    function given(bytes32 nonce) private returns (bytes32) {
        Grants.Message memory m = consent(nonce);
        return consents.give(m, signature(PATIENT_KEY, consents.consentDigest(m)));
    }

    function testFuzz_AnyoneRelaysAndNoncesHaveNoOrder(address relay, bytes32 one, bytes32 other) public {
        vm.assume(one != other);
        be(relay);
        bytes32 second = given(other);
        bytes32 first = given(one);
        require(consents.permits(first, 1) && consents.permits(second, 1), "both stand");
        consents.revoke(second, signature(PATIENT_KEY, consents.revocationDigest(second)));
        require(consents.permits(first, 1) && !consents.permits(second, 1), "one is withdrawn");
    }

    function testFuzz_OnlyThePatientSigns(uint256 key, bytes32 nonce) public {
        key = bounded(key, 1, 1 << 200);
        vm.assume(key != PATIENT_KEY);
        Grants.Message memory m = consent(nonce);
        bytes memory forged = signature(key, consents.consentDigest(m));
        vm.expectRevert(abi.encodeWithSelector(Typed.SignatureWrong.selector, PATIENT_ID));
        consents.give(m, forged);
    }

    function testFuzz_EveryFieldIsSigned(uint256 field, bytes32 nonce) public {
        Grants.Message memory m = consent(nonce);
        bytes memory good = signature(PATIENT_KEY, consents.consentDigest(m));
        field = bounded(field, 0, 4);
        if (field == 0) m.grantee = SECOND_ID;
        if (field == 1) m.terms = bytes32(uint256(10));
        if (field == 2) m.from -= 1;
        if (field == 3) m.until += 1;
        if (field == 4) m.deadline += 1;
        vm.expectRevert(abi.encodeWithSelector(Typed.SignatureWrong.selector, PATIENT_ID));
        consents.give(m, good);
    }

    function testFuzz_GrantIdIsUsedOnce(bytes32 nonce, bool burnFirst) public {
        bytes32 id = consents.grantId(PATIENT_ID, nonce);
        bytes memory withdrawal = signature(PATIENT_KEY, consents.revocationDigest(id));
        if (burnFirst) consents.burn(PATIENT_ID, nonce, withdrawal);
        else given(nonce);
        Grants.Message memory m = consent(nonce);
        bytes memory again = signature(PATIENT_KEY, consents.consentDigest(m));
        vm.expectRevert(abi.encodeWithSelector(Grants.NonceUsed.selector, id));
        consents.give(m, again);
    }

    function testFuzz_WindowAndDeadlineHold(uint64 later) public {
        Grants.Message memory m = consent(bytes32(uint256(later)));
        bytes memory good = signature(PATIENT_KEY, consents.consentDigest(m));
        uint256 seconds_ = bounded(later, 1, 1 << 40);
        bytes32 id = consents.give(m, good);
        vm.warp(vm.getBlockTimestamp() + seconds_);
        require(!consents.permits(id, 1), "it ended");
        m.nonce = ~m.nonce;
        good = signature(PATIENT_KEY, consents.consentDigest(m));
        vm.expectRevert(abi.encodeWithSelector(Grants.DeadlinePassed.selector, m.deadline));
        consents.give(m, good);
    }

    function testFuzz_P256SignerWithLowSOnly(uint256 key, bytes32 nonce) public {
        key = bounded(key, 1, P256_ORDER - 1);
        (uint256 x, uint256 y) = vm.publicKeyP256(key);
        bytes32 person = keccak256(abi.encode(key));
        vm.assume(uint128(uint256(person)) != 0);
        be(sender(1));
        directory.enrol(person, 1, abi.encodePacked(verifier, x, y), true);
        Grants.Message memory m = consent(nonce);
        m.patient = person;
        (bytes32 r, bytes32 s) = vm.signP256(key, consents.consentDigest(m));
        uint256 low = uint256(s) > P256_ORDER / 2 ? P256_ORDER - uint256(s) : uint256(s);
        vm.expectRevert(abi.encodeWithSelector(Typed.SignatureWrong.selector, person));
        consents.give(m, abi.encodePacked(r, P256_ORDER - low));
        consents.give(m, abi.encodePacked(r, low));
    }

    function testFuzz_WalletVouchesForItsOwnerAlone(uint256 key, bytes32 nonce, uint256 answer) public {
        key = (key % (type(uint128).max)) + 1;
        vm.assume(vm.addr(key) != vm.addr(CLINICIAN_KEY));
        answer = (answer % 3) + 1;
        bytes32 patient = bytes32(uint256(6));
        Wallet wallet = new Wallet(vm.addr(key));
        be(sender(0));
        directory.enrol(patient, 1, abi.encodePacked(wallet), false);
        Grants.Message memory m = consent(nonce);
        m.patient = patient;
        bytes32 digest = consents.consentDigest(m);
        bytes memory good = signature(key, digest);
        bytes memory others = signature(CLINICIAN_KEY, digest);
        bytes memory wrong = abi.encodeWithSelector(Typed.SignatureWrong.selector, patient);
        vm.expectRevert(wrong);
        consents.give(m, others);
        bytes32 id = consents.give(m, good);
        require(consents.permits(id, 1), "given");
        // A wallet that takes its word back, fails or answers nonsense vouches for nothing more.
        bytes memory withdrawal = signature(key, consents.revocationDigest(id));
        wallet.close(answer);
        vm.expectRevert(wrong);
        consents.revoke(id, withdrawal);
        wallet.close(0);
        consents.revoke(id, withdrawal);
        require(!consents.permits(id, 1), "withdrawn");
    }

    function testFuzz_PolicyAgreesOnlyByAPlainYes(uint256 mood) public {
        mood = mood % 6;
        Moody moody = new Moody(mood);
        be(sender(0));
        policies.add("moody", address(moody));
        Grants.Message memory m = consent(bytes32(mood));
        bytes memory good = signature(PATIENT_KEY, consents.consentUnderDigest(m, address(moody)));
        bytes32 id = consents.giveUnder(m, address(moody), good);
        require(consents.permits(id, 1) == (mood == 1), "one is yes");
    }

    function test_TwoCliniciansAgree() public {
        TwoClinicians two = new TwoClinicians(consents, 1 << 5);
        be(sender(1));
        policies.add("two clinicians", address(two));
        Grants.Message memory m = consent(bytes32(uint256(1)));
        m.until += 1 hours * 1000;
        bytes32 id =
            consents.giveUnder(m, address(two), signature(PATIENT_KEY, consents.consentUnderDigest(m, address(two))));
        require(consents.permits(id, 4) && !consents.permits(id, 5), "class five needs two");
        uint64 until = nowMs() + 600_000;
        bytes32 digest = two.agreementDigest(id, 5, CLINICIAN_ID, until);
        two.agree(id, 5, CLINICIAN_ID, until, signature(CLINICIAN_KEY, digest));
        require(!consents.permits(id, 5), "one is not two");
        digest = two.agreementDigest(id, 5, SECOND_ID, until);
        two.agree(id, 5, SECOND_ID, until, signature(SECOND_KEY, digest));
        require(consents.permits(id, 5), "both agreed");
        vm.warp(vm.getBlockTimestamp() + 600);
        require(!consents.permits(id, 5), "until then");
    }

    function glass(bytes32 nonce, bytes32 second) private view returns (Consents.BreakGlass memory) {
        uint64 time = nowMs();
        return Consents.BreakGlass(PATIENT_ID, CLINICIAN_ID, second, bytes32(uint256(5)), time, time + 1, nonce);
    }

    function testFuzz_GlassWindow(uint64 from, uint64 length) public {
        vm.warp(vm.getBlockTimestamp() + 2 days);
        Consents.BreakGlass memory m = glass(0, 0);
        m.from = uint64(bounded(from, nowMs() - 1_000_000, nowMs() + 120_000));
        m.until = m.from + uint64(bounded(length, 0, 2 hours * 1000));
        bytes memory good = signature(CLINICIAN_KEY, consents.breakGlassDigest(m));
        uint64 hour = consents.BREAK_GLASS_MAX_MS();
        bool fits = m.until > m.from && m.until - m.from <= hour && m.from <= nowMs() + consents.AHEAD_MAX_MS();
        be(sender(0));
        if (!fits) vm.expectRevert(abi.encodeWithSelector(Consents.GlassWindowWrong.selector, m.from, m.until));
        consents.breakGlass(m, good, "");
    }

    function test_GlassQuotaAndReview() public {
        vm.warp(vm.getBlockTimestamp() + 1 days);
        be(sender(0));
        bytes32 id;
        for (uint256 i = 0; i < consents.BREAK_GLASS_PER_DAY_MAX(); i++) {
            Consents.BreakGlass memory one = glass(bytes32(i), 0);
            id = consents.breakGlass(one, signature(CLINICIAN_KEY, consents.breakGlassDigest(one)), "");
        }
        Consents.BreakGlass memory m = glass(bytes32(uint256(99)), 0);
        bytes memory good = signature(CLINICIAN_KEY, consents.breakGlassDigest(m));
        uint64 day = nowMs() / (1 days * 1000);
        vm.expectRevert(abi.encodeWithSelector(Consents.GlassQuotaUsed.selector, CLINICIAN_ID, day));
        consents.breakGlass(m, good, "");
        bytes32 digest = consents.reviewDigest(id, AUDITOR_ID, 2, 0);
        consents.review(id, AUDITOR_ID, 2, 0, signature(AUDITOR_KEY, digest));
        vm.expectRevert(abi.encodeWithSelector(Consents.EntryReviewed.selector, id));
        consents.review(id, AUDITOR_ID, 2, 0, signature(AUDITOR_KEY, digest));
    }

    function test_FreshClinicianNeedsASecond() public {
        Consents.BreakGlass memory m = glass(0, 0);
        bytes memory good = signature(CLINICIAN_KEY, consents.breakGlassDigest(m));
        be(sender(0));
        vm.expectRevert(abi.encodeWithSelector(Consents.RoleTooYoung.selector, CLINICIAN_ID));
        consents.breakGlass(m, good, "");
        m.second = SECOND_ID;
        bytes32 digest = consents.breakGlassDigest(m);
        consents.breakGlass(m, signature(CLINICIAN_KEY, digest), signature(SECOND_KEY, digest));
    }
}

/// Log heads and RFC 6962.
contract AnchorsTest is Ward {
    Anchors private anchors;

    function setUp() public {
        found(1, 1);
        anchors = new Anchors(directory);
    }

    function root(uint256 from, uint256 to) private pure returns (bytes32) {
        if (to - from == 1) return sha256(abi.encodePacked(bytes1(0), from));
        uint256 split = half(to - from);
        return sha256(abi.encodePacked(bytes1(0x01), root(from, from + split), root(from + split, to)));
    }

    /// Largest power of two below n.
    function half(uint256 n) private pure returns (uint256 k) {
        k = 1;
        while (2 * k < n) k *= 2;
    }

    /// PROOF and SUBPROOF of RFC 6962, section 2.1.2, written after its text.
    function proof(uint256 m, uint256 from, uint256 to, bool whole) private pure returns (bytes32[] memory) {
        uint256 n = to - from;
        if (m == n) {
            bytes32[] memory last = new bytes32[](whole ? 0 : 1);
            if (!whole) last[0] = root(from, to);
            return last;
        }
        uint256 k = half(n);
        if (m <= k) return appended(proof(m, from, from + k, whole), root(from + k, to));
        return appended(proof(m - k, from + k, to, false), root(from, from + k));
    }

    function appended(bytes32[] memory list, bytes32 one) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; i++) longer[i] = list[i];
        longer[list.length] = one;
    }

    function testFuzz_HonestProofsPass(uint256 first, uint256 second) public {
        second = bounded(second, 2, 80);
        first = bounded(first, 1, second - 1);
        bytes32[] memory none = new bytes32[](0);
        bytes16 one = org(0);
        be(sender(0));
        anchors.anchor(one, uint64(first), root(0, first), none);
        anchors.anchor(one, uint64(second), root(0, second), proof(first, 0, second, true));
        (bytes32 kept, uint64 size,) = anchors.heads(one);
        require(kept == root(0, second) && size == second, "replaced");
    }

    function testFuzz_ChangedProofsFail(uint256 first, uint256 second, uint256 where, bytes32 what) public {
        second = bounded(second, 2, 80);
        first = bounded(first, 1, second - 1);
        bytes32[] memory path = proof(first, 0, second, true);
        where = bounded(where, 0, path.length - 1);
        vm.assume(what != path[where]);
        path[where] = what;
        bool passes =
            anchors.isConsistent(uint64(first), root(0, first), uint64(second), root(0, second), pathOf(path));
        require(!passes, "a changed proof");
    }

    function pathOf(bytes32[] memory path) private pure returns (bytes32[] memory) {
        return path;
    }
}
