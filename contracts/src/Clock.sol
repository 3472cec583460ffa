// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// Block time in milliseconds since 1970, the unit of every time these contracts take or keep.
/// Ethereum's clock has whole seconds, so the last three digits are always zero.
function nowMs() view returns (uint64) {
    return uint64(block.timestamp) * 1000;
}
