// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {nowMs} from "./Clock.sol";
import {Consents} from "./Consents.sol";
import {IPolicy} from "./IPolicy.sol";
import {Typed} from "./Typed.sol";

/// @title A policy: two clinicians of the grantee's organisation must agree before certain classes are opened.
/// @notice Deployed by an administrator, added to `Policies`, named by a consent. A pattern for more policies.
/// @dev Immutable, without owner. Storage: slot 0 agreements.
contract TwoClinicians is IPolicy, Typed {
    /// Longest agreement.
    uint64 public constant AGREEMENT_MAX_MS = 1 days * 1000;
    /// Agreements needed.
    uint256 public constant CLINICIANS = 2;

    struct Agreement {
        bytes32 clinician;
        /// Milliseconds, exclusive.
        uint64 until;
    }

    bytes32 private constant AGREEMENT_TYPE =
        keccak256("Agreement(bytes32 grant,uint8 class,bytes32 clinician,uint64 until)");

    /// The consents it serves.
    Consents public immutable consents;
    /// Classes that need two clinicians, as bits; the others need none.
    uint256 public immutable classes;
    /// The two agreements of a consent and class that last longest.
    mapping(bytes32 grant => mapping(uint8 class => Agreement[CLINICIANS])) public agreements;

    event Agreed(bytes32 indexed grant, uint8 indexed class, bytes32 indexed clinician, uint64 until);

    /// No consent has this id.
    error GrantUnknown(bytes32 grant);
    /// Nobody enrolled and active as a clinician of the grantee's organisation has this id.
    error ClinicianUnknown(bytes32 clinician);
    /// The agreement is over, longer than a day, or shorter than the one it would replace.
    error AgreementWindowWrong(uint64 until);

    constructor(Consents consents_, uint256 classes_) Typed(consents_.directory(), consents_.genesis()) {
        consents = consents_;
        classes = classes_;
    }

    /// @notice Relays a clinician's agreement that a class may be opened under a consent.
    function agree(bytes32 grant, uint8 class, bytes32 clinician, uint64 until, bytes calldata signature) external {
        bytes32 grantee = consents.granteeOf(grant);
        if (grantee == 0) revert GrantUnknown(grant);
        if (!mayAgree(grantee, clinician)) revert ClinicianUnknown(clinician);
        uint64 time = nowMs();
        if (until <= time || until > time + AGREEMENT_MAX_MS) revert AgreementWindowWrong(until);
        requireSigned(clinician, agreementDigest(grant, class, clinician, until), signature);
        Agreement[CLINICIANS] storage both = agreements[grant][class];
        uint256 place = both[0].clinician == clinician
            ? 0
            : both[1].clinician == clinician ? 1 : both[0].until <= both[1].until ? 0 : 1;
        if (until < both[place].until) revert AgreementWindowWrong(until);
        both[place] = Agreement(clinician, until);
        emit Agreed(grant, class, clinician, until);
    }

    /// @inheritdoc IPolicy
    function permits(bytes32 grant, bytes32, bytes32 grantee, uint8 class) external view returns (bool) {
        if ((classes >> class) & 1 == 0) return true;
        Agreement[CLINICIANS] storage both = agreements[grant][class];
        uint64 time = nowMs();
        for (uint256 i = 0; i < CLINICIANS; i++) {
            if (both[i].until <= time || !mayAgree(grantee, both[i].clinician)) return false;
        }
        return true;
    }

    /// @notice What the clinician signs.
    function agreementDigest(bytes32 grant, uint8 class, bytes32 clinician, uint64 until)
        public
        view
        returns (bytes32)
    {
        return typedDigest(keccak256(abi.encode(AGREEMENT_TYPE, grant, class, clinician, until)));
    }

    function domainName() internal pure override returns (string memory) {
        return "Aceso TwoClinicians";
    }

    function mayAgree(bytes32 grantee, bytes32 clinician) private view returns (bool) {
        (bytes16 org,,) = directory.personOf(grantee);
        if (uint128(uint256(grantee)) == 0) org = bytes16(grantee);
        (bytes16 home,,) = directory.personOf(clinician);
        return home == org && directory.hasRole(clinician, directory.CLINICIAN());
    }
}
