// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

// Longest host:port.
uint256 constant ENDPOINT_BYTES_MAX = 255;

/// @dev Empty, or host:port: letters, digits and . - : [ ] as the host, then a colon and one to five digits.
/// Whether the host exists is for those to find out who connect.
function isEndpoint(string memory endpoint) pure returns (bool) {
    bytes memory text = bytes(endpoint);
    if (text.length == 0) return true;
    if (text.length > ENDPOINT_BYTES_MAX) return false;
    uint256 digits;
    while (digits < text.length && isDigit(text[text.length - 1 - digits])) digits++;
    // At least one byte of host, the colon, the digits.
    if (digits == 0 || digits > 5 || digits + 2 > text.length) return false;
    uint256 host = text.length - digits - 1;
    if (text[host] != ":") return false;
    for (uint256 i = 0; i < host; i++) {
        bytes1 c = text[i];
        bool letter = (c >= "a" && c <= "z") || (c >= "A" && c <= "Z");
        if (!letter && !isDigit(c) && c != "." && c != "-" && c != ":" && c != "[" && c != "]") return false;
    }
    return true;
}

function isDigit(bytes1 c) pure returns (bool) {
    return c >= "0" && c <= "9";
}
