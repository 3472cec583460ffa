// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Directory} from "./Directory.sol";

/// @title The newest head of each organisation's append-only log.
/// @notice A head is replaced only by one that provably extends it (RFC 6962, section 2.1.2).
/// @dev Immutable, without owner. Storage (see docs/wire.md): slot 0 heads.
contract Anchors {
    struct Head {
        /// RFC 6962 root over `size` leaves (SHA-256).
        bytes32 root;
        /// Leaves; zero while nothing is anchored.
        uint64 size;
        /// Block in which this head arrived.
        uint64 height;
    }

    /// Who exists.
    Directory public immutable directory;
    /// Heads by organisation.
    mapping(bytes16 org => Head) public heads;

    event Anchored(bytes16 indexed org, uint64 size, bytes32 root);

    /// Only the organisation anchors its log.
    error NotTheOrganisation(bytes16 org);
    /// A log of no leaves is not anchored.
    error LogEmpty();
    /// The anchored log is longer.
    error LogShrunk(uint64 anchored, uint64 size);
    /// The anchored log has another root at this size.
    error LogForked(uint64 size);
    /// The proof does not show that the log extends the anchored one.
    error ConsistencyWrong(uint64 anchored, uint64 size);

    constructor(Directory directory_) {
        directory = directory_;
    }

    /// @notice Replaces the log head of the organisation that sends. The anchored head again changes nothing.
    /// @param org The organisation.
    /// @param size Leaves now.
    /// @param root Root now.
    /// @param consistency RFC 6962 proof from the anchored size to `size`; empty for the first head.
    function anchor(bytes16 org, uint64 size, bytes32 root, bytes32[] calldata consistency) external {
        if (directory.requireOrganisation(msg.sender) != org) revert NotTheOrganisation(org);
        if (size == 0) revert LogEmpty();
        Head storage head = heads[org];
        uint64 anchored = head.size;
        if (size < anchored) revert LogShrunk(anchored, size);
        if (size == anchored) {
            if (root != head.root) revert LogForked(size);
            return;
        }
        bool extends_ = anchored == 0
            ? consistency.length == 0
            : isConsistent(anchored, head.root, size, root, consistency);
        if (!extends_) revert ConsistencyWrong(anchored, size);
        heads[org] = Head(root, size, uint64(block.number));
        emit Anchored(org, size, root);
    }

    /// @notice Does the tree of `second` leaves extend the tree of `first`? Needs 0 < first < second.
    /// @dev RFC 9162, section 2.1.4.2.
    function isConsistent(
        uint64 first,
        bytes32 firstRoot,
        uint64 second,
        bytes32 secondRoot,
        bytes32[] calldata proof
    ) public pure returns (bool) {
        if (first == 0 || first >= second || proof.length == 0) return false;
        uint64 fn = first - 1;
        uint64 sn = second - 1;
        while (fn & 1 == 1) {
            fn >>= 1;
            sn >>= 1;
        }
        // A first tree that is a whole subtree of the second is not repeated in the proof.
        uint256 next = fn == 0 ? 0 : 1;
        bytes32 fr = fn == 0 ? firstRoot : proof[0];
        bytes32 sr = fr;
        for (; next < proof.length; next++) {
            if (sn == 0) return false;
            bytes32 sibling = proof[next];
            if (fn & 1 == 1 || fn == sn) {
                fr = node(sibling, fr);
                sr = node(sibling, sr);
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                sr = node(sr, sibling);
            }
            fn >>= 1;
            sn >>= 1;
        }
        return sn == 0 && fr == firstRoot && sr == secondRoot;
    }

    function node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }
}
