// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Authorities} from "../src/Authorities.sol";
import {Directory} from "../src/Directory.sol";

/// The cheat codes of forge that these tests use.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function assume(bool) external pure;
    function expectRevert(bytes calldata) external;
    function expectRevert(bytes4) external;
    function getBlockNumber() external view returns (uint256);
    function getBlockTimestamp() external view returns (uint256);
    function startPrank(address) external;
    function stopPrank() external;
    function roll(uint256) external;
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function signP256(uint256 key, bytes32 digest) external pure returns (bytes32 r, bytes32 s);
    function publicKeyP256(uint256 key) external pure returns (uint256 x, uint256 y);
    function warp(uint256) external;
}

/// A few organisations and their contracts.
abstract contract Ward {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint64 internal constant EPOCH_BLOCKS = 10;

    Directory internal directory;
    Authorities internal authorities;

    /// Founded by `organisations`, of which the first `validators` run one each.
    function found(uint8 organisations, uint8 validators) internal {
        bytes32[] memory keys = new bytes32[](organisations);
        address[] memory senders = new address[](organisations);
        for (uint8 i = 0; i < organisations; i++) (keys[i], senders[i]) = (recordKey(i), sender(i));
        bytes32[] memory committee = new bytes32[](validators);
        bytes16[] memory operators = new bytes16[](validators);
        for (uint8 i = 0; i < validators; i++) (committee[i], operators[i]) = (validatorKey(i), org(i));
        directory = new Directory(keys, senders, next(1));
        authorities = new Authorities(directory, EPOCH_BLOCKS, committee, operators);
        require(directory.authorities() == address(authorities), "the next contract");
    }

    /// Where this contract's creation comes to stand after `later` others; nonces below 128.
    function next(uint8 later) internal view returns (address) {
        uint64 nonce = nonceOf(address(this)) + later;
        require(nonce != 0 && nonce < 128, "one byte");
        bytes memory list = abi.encodePacked(bytes2(0xd694), address(this), uint8(nonce));
        return address(uint160(uint256(keccak256(list))));
    }

    function nonceOf(address account) private view returns (uint64 nonce) {
        (bool known, bytes memory answer) =
            address(vm).staticcall(abi.encodeWithSignature("getNonce(address)", account));
        require(known, "getNonce");
        return abi.decode(answer, (uint64));
    }

    function recordKey(uint8 i) internal pure returns (bytes32) {
        return bytes32(uint256(0xa0 + uint256(i)));
    }

    function org(uint8 i) internal pure returns (bytes16) {
        return bytes16(sha256(abi.encodePacked(recordKey(i))));
    }

    function sender(uint8 i) internal pure returns (address) {
        return address(uint160(0x5e00 + uint160(i)));
    }

    function validatorKey(uint8 i) internal pure returns (bytes32) {
        return bytes32(uint256(0xb00 + uint256(i)));
    }

    /// From now on `account` sends.
    function be(address account) internal {
        vm.stopPrank();
        vm.startPrank(account);
    }

    function advance(uint256 blocks) internal {
        vm.roll(vm.getBlockNumber() + blocks);
        vm.warp(vm.getBlockTimestamp() + blocks);
    }

    function eq(uint256 a, uint256 b, string memory what) internal pure {
        require(a == b, what);
    }

    function bounded(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + x % (high - low + 1);
    }
}
