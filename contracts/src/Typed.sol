// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Directory} from "./Directory.sol";

/// @title Messages that people of the directory sign (EIP-712), with the genesis hash as salt, so that a
///        signature is good on one ledger only.
/// @dev Signers are ERC-7913: external accounts, ERC-1271 wallets, P-256 keys, passkeys. Holds no storage.
abstract contract Typed {
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)");
    string private constant VERSION = "1";

    /// Who exists.
    Directory public immutable directory;
    /// SHA-256 of the genesis document.
    bytes32 public immutable genesis;

    /// The signature is not this person's over this message.
    error SignatureWrong(bytes32 person);

    constructor(Directory directory_, bytes32 genesis_) {
        directory = directory_;
        genesis = genesis_;
    }

    /// @notice ERC-5267: how wallets learn the signing domain.
    function eip712Domain()
        external
        view
        returns (bytes1, string memory, string memory, uint256, address, bytes32, uint256[] memory)
    {
        return (hex"1f", domainName(), VERSION, block.chainid, address(this), genesis, new uint256[](0));
    }

    /// What the signing domain is called.
    function domainName() internal pure virtual returns (string memory);

    function typedDigest(bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                DOMAIN_TYPE,
                keccak256(bytes(domainName())),
                keccak256(bytes(VERSION)),
                block.chainid,
                address(this),
                genesis
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function requireSigned(bytes32 person, bytes32 digest, bytes calldata signature) internal view {
        if (!SignatureChecker.isValidSignatureNow(directory.signerOf(person), digest, signature)) {
            revert SignatureWrong(person);
        }
    }
}
