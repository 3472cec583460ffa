// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Authorities} from "../src/Authorities.sol";
import {Directory} from "../src/Directory.sol";
import {isEndpoint} from "../src/Endpoint.sol";
import {Ward} from "./Ward.sol";

/// Votes on validators and organisations.
contract AuthoritiesTest is Ward {
    function setUp() public {
        found(5, 4);
    }

    function grow() private returns (uint64 id) {
        be(sender(0));
        id = authorities.proposeValidator(validatorKey(4), org(4), "");
        be(sender(1));
        authorities.vote(id);
        be(sender(2));
        authorities.vote(id);
    }

    function test_MoreThanHalfAcceptsAndItActsTwoEpochsLater() public {
        advance(25);
        grow();
        uint64 epoch = authorities.epoch();
        eq(authorities.committee(epoch).length, 4, "this epoch");
        eq(authorities.committee(epoch + 1).length, 4, "the next one");
        eq(authorities.committee(epoch + 2).length, 5, "the one after it");
        eq(authorities.seated(), 5, "five organisations decide");
    }

    function test_HalfIsNotEnough() public {
        be(sender(0));
        uint64 id = authorities.proposeValidator(validatorKey(4), org(4), "");
        be(sender(1));
        authorities.vote(id);
        eq(authorities.proposal(id).acceptedAt, 0, "two of four");
        eq(authorities.staying(), 4, "nothing happened");
    }

    function test_OutsidersVotesRevert() public {
        be(sender(0));
        uint64 id = authorities.proposeValidator(validatorKey(4), org(4), "");
        be(sender(4));
        vm.expectRevert(abi.encodeWithSelector(Authorities.NotSeated.selector, org(4)));
        authorities.vote(id);
        be(address(0xdead));
        vm.expectRevert(abi.encodeWithSelector(Directory.SenderNotAnOrganisation.selector, address(0xdead)));
        authorities.vote(id);
    }

    function testFuzz_ProposalExpires(uint256 late) public {
        be(sender(0));
        uint64 id = authorities.proposeRemoval(validatorKey(3));
        uint256 age = authorities.PROPOSAL_AGE_MAX_MS() / 1000;
        vm.warp(vm.getBlockTimestamp() + bounded(late, age + 1, age * 1000));
        be(sender(1));
        vm.expectRevert(abi.encodeWithSelector(Authorities.ProposalExpired.selector, id));
        authorities.vote(id);
    }

    function testFuzz_OnlyTheAuthoritiesChangeTheDirectory(address caller, bytes32 key, address account) public {
        vm.assume(caller != address(authorities));
        bytes16 first = org(0);
        be(caller);
        vm.expectRevert(abi.encodeWithSelector(Directory.NotTheAuthorities.selector, caller));
        directory.admit(key, account);
        be(caller);
        vm.expectRevert(abi.encodeWithSelector(Directory.NotTheAuthorities.selector, caller));
        directory.remove(first);
    }

    function testFuzz_EndpointIsHostAndPort(bytes calldata host, uint16 port) public pure {
        bytes memory text = abi.encodePacked(host, ":", bytes(decimal(port)));
        bool plain = host.length > 0 && text.length <= 255;
        for (uint256 i = 0; i < host.length; i++) {
            bytes1 c = host[i];
            plain = plain
                && ((c >= "0" && c <= "9") || (c >= "a" && c <= "z") || (c >= "A" && c <= "Z") || c == "." || c == "-"
                    || c == ":" || c == "[" || c == "]");
        }
        require(isEndpoint(string(text)) == plain, "host:port");
    }

    function test_OrganisationIsAdmittedAndRemoved() public {
        be(sender(0));
        uint64 id = authorities.proposeOrganisation(recordKey(9), sender(9));
        be(sender(1));
        authorities.vote(id);
        be(sender(2));
        authorities.vote(id);
        require(directory.requireOrganisation(sender(9)) == org(9), "admitted");
        be(sender(9));
        id = authorities.proposeValidator(validatorKey(9), org(9), "node9.example:4410");
        eq(authorities.proposal(id).votes.length, 0, "it has no vote");
        be(sender(0));
        id = authorities.proposeExpulsion(org(9));
        be(sender(1));
        authorities.vote(id);
        be(sender(2));
        authorities.vote(id);
        require(!directory.isActive(org(9)), "removed");
    }

    function test_LastValidatorStays() public {
        found(1, 1);
        be(sender(0));
        vm.expectRevert(abi.encodeWithSelector(Authorities.LastValidator.selector));
        authorities.proposeRemoval(validatorKey(0));
        be(sender(0));
        authorities.proposeKey(validatorKey(0), validatorKey(1), "");
        require(authorities.committee(authorities.epoch() + 2)[0] == validatorKey(1), "another key");
        eq(authorities.committee(authorities.epoch() + 2).length, 1, "instead of the old one");
    }

    function decimal(uint256 number) private pure returns (string memory) {
        bytes memory digits;
        do {
            digits = abi.encodePacked(bytes1(uint8(48 + number % 10)), digits);
            number /= 10;
        } while (number > 0);
        return string(digits);
    }
}
