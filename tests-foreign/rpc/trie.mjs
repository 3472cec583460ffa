// A Merkle-Patricia proof, checked by hand: what a client has to do that trusts nothing but a state root.

import { decodeRlp, getBytes, hexlify, keccak256 } from 'ethers'

/** The value under `key` (a hash), or null where the proof shows that there is none. */
export function prove(root, key, nodes) {
  const path = keccak256(key).slice(2)
  let at = 0
  let wanted = root
  for (const node of nodes) {
    if (keccak256(node) !== wanted) throw new Error('a node is not the one its parent names')
    let fields = decodeRlp(node)
    for (;;) {
      if (fields.length === 17) {
        const next = fields[parseInt(path[at], 16)]
        at += 1
        if (next === '0x') return null
        if (Array.isArray(next)) {
          fields = next
          continue
        }
        wanted = next
        break
      }
      const compact = hexlify(getBytes(fields[0])).slice(2)
      const flag = parseInt(compact[0], 16)
      const nibbles = compact.slice(flag & 1 ? 1 : 2)
      if (path.slice(at, at + nibbles.length) !== nibbles) return null
      at += nibbles.length
      if (flag & 2) return fields[1]
      if (Array.isArray(fields[1])) {
        fields = fields[1]
        continue
      }
      wanted = fields[1]
      break
    }
  }
  throw new Error('the proof ends early')
}
