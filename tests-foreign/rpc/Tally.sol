// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.30;

/// Counts what it is told, and refuses nothing at all.
contract Tally {
    error NothingToCount(address by);

    event Counted(address indexed by, uint256 indexed number, uint256 total);

    uint256 public total;
    mapping(address => uint256) public from;

    constructor(uint256 start) {
        total = start;
    }

    function count(uint256 number) external {
        if (number == 0) revert NothingToCount(msg.sender);
        total += number;
        from[msg.sender] += number;
        emit Counted(msg.sender, number, total);
    }
}
