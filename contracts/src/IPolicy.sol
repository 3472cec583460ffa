// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title What a consent may be bound to: a contract that is asked each time a class is opened.
interface IPolicy {
    /// @notice May `class` of the record of `patient` be opened for `grantee` under this consent, in this block?
    /// @dev Asked with bounded gas; an answer that does not come is a no.
    function permits(bytes32 grant, bytes32 patient, bytes32 grantee, uint8 class) external view returns (bool);
}
