// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Directory} from "../src/Directory.sol";
import {Roles} from "../src/Roles.sol";
import {Ward} from "./Ward.sol";

/// Roles beyond the first five, on a ledger that was founded without them.
contract RolesTest is Ward {
    uint8 private constant NURSE = 7;
    bytes32 private constant NAME = "nurse";
    bytes private constant SIGNER = hex"000102030405060708090a0b0c0d0e0f10111213";
    bytes32 private constant PERSON = bytes32(uint256(0x77));

    Roles private roles;

    function setUp() public {
        found(3, 3);
        roles = new Roles(directory);
    }

    function entryKey() private pure returns (bytes32) {
        return sha256(abi.encodePacked("aceso/contract/v1", "Roles", bytes1(0), uint32(1)));
    }

    /// The address book holds the registry.
    function admit() private {
        be(sender(0));
        uint64 id = authorities.proposeOrganisation(entryKey(), address(roles));
        be(sender(1));
        authorities.vote(id);
    }

    function defineNurse() private {
        be(sender(0));
        roles.support(NURSE, NAME, 2);
        be(sender(1));
        roles.support(NURSE, NAME, 2);
    }

    function test_ARoleIsDefinedByMoreThanHalf() public {
        be(sender(0));
        roles.support(NURSE, NAME, 2);
        (, uint64 definedAt,) = roles.roles(NURSE);
        eq(definedAt, 0, "one of three");
        vm.expectRevert(abi.encodeWithSelector(Roles.VoteRepeated.selector, org(0)));
        roles.support(NURSE, NAME, 2);
        be(sender(1));
        roles.support(NURSE, NAME, 4);
        (, definedAt,) = roles.roles(NURSE);
        eq(definedAt, 0, "another base is another role");
        roles.support(NURSE, NAME, 2);
        (bytes32 name, uint64 since, uint8 base) = roles.roles(NURSE);
        require(name == NAME && since != 0 && base == 2, "two of three define it");
        be(sender(2));
        vm.expectRevert(abi.encodeWithSelector(Roles.RoleKnown.selector, NURSE));
        roles.support(NURSE, "other", 1);
    }

    function test_OutsidersDefineNothing() public {
        be(address(0xdead));
        vm.expectRevert(abi.encodeWithSelector(Directory.SenderNotAnOrganisation.selector, address(0xdead)));
        roles.support(NURSE, NAME, 2);
    }

    function testFuzz_TheFirstFiveStay(uint8 role, uint8 base) public {
        be(sender(0));
        if (role <= 5) {
            vm.expectRevert(abi.encodeWithSelector(Roles.RoleReserved.selector, role));
        } else if (base == 0 || base > 5) {
            vm.expectRevert(abi.encodeWithSelector(Roles.BaseUnknown.selector, base));
        }
        roles.support(role, NAME, base);
    }

    function test_NothingIsAssignedBeforeTheAddressBookHoldsTheRegistry() public {
        defineNurse();
        be(sender(0));
        vm.expectRevert(abi.encodeWithSelector(Directory.SenderNotAnOrganisation.selector, address(roles)));
        roles.assign(PERSON, NURSE);
    }

    function test_AnAssignedRoleCountsFromEnrolmentOn() public {
        defineNurse();
        admit();
        be(sender(0));
        roles.assign(PERSON, NURSE);
        eq(roles.roleOf(PERSON), 0, "nobody yet");
        directory.enrol(PERSON, 2, SIGNER, false);
        eq(roles.roleOf(PERSON), NURSE, "from enrolment on");
        require(roles.hasRole(PERSON, NURSE) && !roles.hasRole(PERSON, 2), "and nothing else");
        require(directory.isGrantee(PERSON), "a consent can name her");
        vm.expectRevert(abi.encodeWithSelector(Roles.PersonAlreadyEnrolled.selector, PERSON));
        roles.assign(PERSON, NURSE);
        directory.suspend(PERSON);
        require(!roles.hasRole(PERSON, NURSE), "suspended");
    }

    function test_AnotherOrganisationOrAnotherBaseChangesNothing() public {
        defineNurse();
        admit();
        be(sender(1));
        roles.assign(PERSON, NURSE);
        be(sender(0));
        directory.enrol(PERSON, 2, SIGNER, false);
        eq(roles.roleOf(PERSON), 2, "another organisation assigned it");
        bytes32 other = bytes32(uint256(0x78));
        roles.assign(other, NURSE);
        directory.enrol(other, 3, SIGNER, false);
        eq(roles.roleOf(other), 3, "enrolled under another base");
    }

    function test_ARemovedEntryAssignsNothingMoreAndKeepsWhatThereIs() public {
        defineNurse();
        admit();
        be(sender(0));
        roles.assign(PERSON, NURSE);
        directory.enrol(PERSON, 2, SIGNER, false);
        uint64 id = authorities.proposeExpulsion(bytes16(sha256(abi.encodePacked(entryKey()))));
        be(sender(1));
        authorities.vote(id);
        eq(roles.roleOf(PERSON), NURSE, "kept");
        vm.expectRevert(abi.encodeWithSelector(Directory.SenderNotAnOrganisation.selector, address(roles)));
        roles.assign(bytes32(uint256(0x79)), NURSE);
    }
}
