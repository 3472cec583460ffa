// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {
    ERC7913WebAuthnVerifier
} from "@openzeppelin/contracts/utils/cryptography/verifiers/ERC7913WebAuthnVerifier.sol";

/// @title ERC-7913 verifier of passkeys: a person's signer is this address followed by x ‖ y of the passkey's
///        P-256 key; the digest is the challenge, and the user must have been verified.
contract WebAuthnVerifier is ERC7913WebAuthnVerifier {}
