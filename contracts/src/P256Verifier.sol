// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ERC7913P256Verifier} from "@openzeppelin/contracts/utils/cryptography/verifiers/ERC7913P256Verifier.sol";

/// @title ERC-7913 verifier of P-256 signatures (r ‖ s, low s): a person's signer is this address followed by x ‖ y.
/// @dev Uses the precompile of EIP-7951 where the chain has it, Solidity elsewhere.
contract P256Verifier is ERC7913P256Verifier {}
