#!/usr/bin/env bash
# web3-utils 4 packs an array of addresses or booleans as nothing at all, and small integers too tightly.
#
# Expected: encodePacked and soliditySha3 give the bytes and the hash that abi.encodePacked and keccak256 give in a
#   contract. Solidity pads the elements of an array to 32 bytes each, also in packed mode.
# What happens: address[], address[2] and bool[] add no byte at all, and alone their soliditySha3 is undefined;
#   uint8[] is packed in one byte an element. uint256[], bytes32[] and single addresses are right, so that tests with
#   those pass. Nothing is raised, though a wrong value or size of a single number is.
# Why it matters: a commitment to the devices of a bed, made by a gateway, never matches what the contract computes
#   from the same list; every proof of it is rejected, and the inputs look right on both sides.
# Instead: ethers' solidityPacked or viem's encodePacked, or abi.encode on both sides.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund web3-utils@4.3.3 ethers@6.17.0 >/dev/null

cat >pack.js <<'JS'
const web3 = require('web3-utils');
const { ethers } = require('ethers');
const [a, b] = ['0x00000000000000000000000000000000000000aa', '0x00000000000000000000000000000000000000bb'];
const short = hex => hex && hex.replace(/^0x/, '').replace(/(00){6,}/g, '..') || '(nothing)';
const word = value => BigInt(value).toString(16).padStart(64, '0');
for (const [type, value] of [['uint256[]', [1, 2]], ['address', a], ['address[]', [a, b]], ['address[2]', [a, b]],
  ['bool[]', [true, false]], ['uint8[]', [1, 2]]]) {
  const both = [web3.encodePacked({ type, value }), ethers.solidityPacked([type], [value])];
  if (Array.isArray(value)) both.push('0x' + value.map(v => word(v)).join(''));    // Solidity's rule, by hand
  console.log(`${type}: web3-utils ${short(both[0])}; ethers ${short(both[1])}` +
    (both[2] ? `; 32 bytes an element: ${both[2] === both[1] ? 'as ethers' : 'other'}` : ''));
}
const mine = web3.soliditySha3({ type: 'uint64', value: 5 }, { type: 'address[]', value: [a, b] });
const theirs = ethers.solidityPackedKeccak256(['uint64', 'address[]'], [5, [a, b]]);
const rule = ethers.keccak256('0x' + word(5).slice(-16) + word(a) + word(b));
console.log('hash of (5, two devices):', mine.slice(0, 10), 'by web3-utils,', theirs.slice(0, 10), 'by ethers,', rule.slice(0, 10), 'by hand');
console.log('agree:', mine === rule, theirs === rule);
JS
echo "web3-utils 4.3.3, ethers 6.17.0"
seen=$(node pack.js)
echo "$seen"
echo "Solidity, ABI specification, non-standard packed mode: array elements are padded, but encoded without a length."

if [[ $seen == *"uint256[]: web3-utils ..01..02; ethers ..01..02; 32 bytes an element: as ethers"* &&
  $seen == *"address[]: web3-utils (nothing); ethers ..aa..bb; 32 bytes an element: as ethers"* &&
  $seen == *"bool[]: web3-utils (nothing); ethers ..01..; 32 bytes an element: as ethers"* &&
  $seen == *"uint8[]: web3-utils 0102; ethers ..01..02; 32 bytes an element: as ethers"* &&
  $seen == *"agree: false true"* ]]; then
  echo "finding holds: web3-utils 4.3.3 leaves arrays of addresses and booleans out of packed bytes and hashes"
else
  echo "finding gone: packed arrays are as Solidity's, or fail otherwise than before"
  exit 1
fi
