// Ethereum clients that are not ours, unmodified, against a real node: viem, ethers, cast, web3.py and alloy deploy
// a contract, call it, read its events, are told why it refuses, and check proofs against a state root.
//
//     run.mjs BINARY [ALLOY [PYTHON]]
//
// ALLOY is the program of ../alloy, which does the same with alloy; PYTHON one that has web3.py.

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import * as ethers from 'ethers'
import * as viem from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { Node, run } from './node.mjs'
import { prove } from './trie.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const CAST = here('../node_modules/@foundry-rs/cast-linux-amd64/bin/cast')

let good = 0
const bad = []
function should(holds, text) {
  if (holds) console.log(`ok ${(good += 1)} ${text}`)
  else {
    bad.push(text)
    console.log(`not ok ${text}`)
  }
}

async function part(name, does) {
  try {
    await does()
  } catch (why) {
    should(false, `${name}: broke off: ${why?.stack ?? why}`)
  }
}

function compile() {
  const require = createRequire(here('../../contracts/package.json'))
  const input = {
    language: 'Solidity',
    sources: { 'Tally.sol': { content: readFileSync(here('Tally.sol'), 'utf8') } },
    settings: { evmVersion: 'cancun', outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
  }
  const output = JSON.parse(require('solc').compile(JSON.stringify(input)))
  const made = output.contracts?.['Tally.sol']?.Tally
  if (!made) throw new Error(JSON.stringify(output.errors))
  return { abi: made.abi, bytecode: `0x${made.evm.bytecode.object}` }
}

/** Checks an account and its slots against the state root of a block both were asked at. */
function checkProof(client, proof, stateRoot, total) {
  const leaf = prove(stateRoot, proof.address, proof.accountProof)
  const [nonce, , storageHash, codeHash] = ethers.decodeRlp(leaf)
  should(
    storageHash === proof.storageHash && codeHash === proof.codeHash && BigInt(nonce) === BigInt(proof.nonce),
    `${client}: the account's proof holds under the state root`,
  )
  const [present, absent] = proof.storageProof
  const value = prove(proof.storageHash, ethers.toBeHex(0, 32), present.proof)
  should(BigInt(ethers.decodeRlp(value)) === total && BigInt(present.value) === total, `${client}: the slot's proof holds`)
  should(
    prove(proof.storageHash, ethers.toBeHex(99, 32), absent.proof) === null && BigInt(absent.value) === 0n,
    `${client}: an empty slot is proven empty`,
  )
}

const SLOTS = [ethers.toBeHex(0, 32), ethers.toBeHex(99, 32)]

async function withViem(node, account, { abi, bytecode }) {
  const chain = viem.defineChain({
    id: account.chain_id,
    name: 'Aceso',
    nativeCurrency: { name: 'nothing', symbol: 'NIL', decimals: 18 },
    rpcUrls: { default: { http: [node.url] } },
  })
  const headers = { Authorization: `Bearer ${node.token}` }
  const transport = viem.http(node.url, { batch: true, fetchOptions: { headers } })
  const reader = viem.createPublicClient({ chain, transport, pollingInterval: 100 })
  const signer = privateKeyToAccount(account.secret)
  const writer = viem.createWalletClient({ chain, transport, account: signer, pollingInterval: 100 })
  should(signer.address.toLowerCase() === account.address, 'viem: the exported key is that of the address said')
  should((await reader.getChainId()) === account.chain_id, 'viem: the chain id is the ledger\'s')
  const deployed = await reader.waitForTransactionReceipt({
    hash: await writer.deployContract({ abi, bytecode, args: [100n] }),
  })
  const address = deployed.contractAddress
  should(deployed.status === 'success' && address, 'viem: a contract is deployed')

  const told = []
  const unwatch = reader.watchContractEvent({ address, abi, eventName: 'Counted', onLogs: (logs) => told.push(...logs) })
  await new Promise((done) => setTimeout(done, 300))
  const counted = await reader.waitForTransactionReceipt({
    hash: await writer.writeContract({ address, abi, functionName: 'count', args: [5n] }),
  })
  should(counted.status === 'success' && counted.gasUsed > 21000n, 'viem: a transaction is final with its receipt')
  should((await reader.readContract({ address, abi, functionName: 'total' })) === 105n, 'viem: a call reads the state')
  const logs = await reader.getContractEvents({ address, abi, eventName: 'Counted', args: { number: 5n }, fromBlock: 0n })
  should(logs.length === 1 && logs[0].args.total === 105n, 'viem: an event is found by its topic')
  for (let waited = 0; told.length === 0 && waited < 50; waited += 1) await new Promise((done) => setTimeout(done, 100))
  unwatch()
  should(told.length === 1 && told[0].args.number === 5n, 'viem: a filter is polled for the event')
  const refusal = await reader
    .simulateContract({ address, abi, functionName: 'count', args: [0n], account: signer })
    .then(() => null, (why) => why.walk((cause) => cause instanceof viem.ContractFunctionRevertedError))
  should(refusal?.data?.errorName === 'NothingToCount', 'viem: a refusal is decoded to the contract\'s error')
  const block = await reader.getBlock()
  should(block.baseFeePerGas === 0n && block.hash.length === 66, 'viem: a block has what viem expects of one')
  const proof = await reader.getProof({ address, storageKeys: SLOTS, blockNumber: block.number })
  checkProof('viem', proof, block.stateRoot, 105n)
  const low = await writer.writeContract({ address, abi, functionName: 'count', args: [1n], nonce: 0, gas: 100000n })
    .then(() => '', (why) => why.walk((cause) => cause instanceof viem.NonceTooLowError)?.name)
  should(low === 'NonceTooLowError', 'viem: a used nonce is recognised as too low')
  const stranger = viem.createWalletClient({
    chain, transport, account: privateKeyToAccount(`0x${'11'.repeat(32)}`),
  })
  const why = await stranger.sendTransaction({ to: address, gas: 50000n }).then(() => '', (error) => error.message)
  should(why.includes('no active organisation'), 'viem: an unregistered sender is told so')
}

async function withEthers(node, account, { abi, bytecode }) {
  const request = new ethers.FetchRequest(node.url)
  request.setHeader('Authorization', `Bearer ${node.token}`)
  const provider = new ethers.JsonRpcProvider(request, undefined, { pollingInterval: 100, cacheTimeout: -1 })
  const wallet = new ethers.Wallet(account.secret, provider)
  const factory = new ethers.ContractFactory(abi, bytecode, wallet)
  const contract = await factory.deploy(200n)
  await contract.waitForDeployment()
  const address = await contract.getAddress()
  should((await provider.getCode(address)).length > 100, 'ethers: a contract is deployed')
  const receipt = await (await contract.count(7n)).wait()
  should(receipt.status === 1 && receipt.logs.length === 1, 'ethers: a transaction is final with its receipt')
  const [total, own, , block] = await Promise.all([
    contract.total(), contract.from(wallet.address), provider.getFeeData(), provider.getBlock('latest', true),
  ])
  should(total === 207n && own === 7n && block.number >= receipt.blockNumber, 'ethers: calls in one batch are answered')
  const found = await contract.queryFilter(contract.filters.Counted(wallet.address), 0)
  should(found.length === 1 && found[0].args.total === 207n, 'ethers: an event is found by its topic')
  const refusal = await contract.count.staticCall(0n).then(() => null, (why) => why)
  should(refusal?.revert?.name === 'NothingToCount', 'ethers: a refusal is decoded to the contract\'s error')
  const again = await provider.getTransaction(receipt.hash)
  should(again.from === wallet.address && again.blockNumber === receipt.blockNumber, 'ethers: a transaction is shown with its sender and block')
  should(ethers.Transaction.from(again).serialized && ethers.Transaction.from(again).hash === receipt.hash,
    'ethers: the transaction shown has the hash it was sent under')
  const at = ethers.toQuantity(block.number)
  const proof = await provider.send('eth_getProof', [address, SLOTS, at])
  const { stateRoot } = await provider.send('eth_getBlockByNumber', [at, false])
  checkProof('ethers', proof, stateRoot, 207n)
  const low = await wallet.sendTransaction({ to: address, nonce: 0, gasLimit: 50000 }).then(() => '', (why) => why.code)
  should(low === 'NONCE_EXPIRED', 'ethers: a used nonce is recognised as expired')
  provider.destroy()
}

async function withCast(node, account, { bytecode }) {
  if (!existsSync(CAST)) {
    if (process.platform === 'linux' && process.arch === 'x64') should(false, 'cast: the program is not installed')
    else console.log('cast: has no program for this machine')
    return
  }
  const env = { ETH_RPC_URL: node.url, ETH_RPC_HEADERS: `Authorization: Bearer ${node.token}`, HOME: node.folder, NO_COLOR: '1' }
  const cast = async (...words) => (await run(CAST, words, { env, timeout: 60_000 })).stdout.trim()
  const key = ['--private-key', account.secret]
  const start = ethers.toBeHex(300, 32).slice(2)
  const deployed = JSON.parse(await cast('send', ...key, '--json', '--create', bytecode + start))
  const address = deployed.contractAddress
  should(deployed.status === '0x1' && address, 'cast: a contract is deployed')
  const sent = JSON.parse(await cast('send', ...key, '--json', address, 'count(uint256)', '9'))
  should(sent.status === '0x1', 'cast: a transaction is final with its receipt')
  const total = await cast('call', address, 'total()(uint256)')
  should(total.startsWith('309'), 'cast: a call reads the state')
  const logs = JSON.parse(await cast('logs', '--json', '--from-block', '0', '--address', address,
    'Counted(address indexed,uint256 indexed,uint256)'))
  should(logs.length === 1 && BigInt(logs[0].data) === 309n, 'cast: an event is found')
  const why = await cast('call', address, 'count(uint256)', '0').then(() => '', (error) => error.stderr)
  should(why.includes('revert'), 'cast: a refusal is shown as one')
  should(Number(await cast('estimate', address, 'count(uint256)', '1', '--from', account.address)) > 21000, 'cast: gas is estimated')
  const { number, stateRoot } = JSON.parse(await cast('block', '--json', 'latest'))
  const proof = JSON.parse(await cast('proof', '--block', String(Number(number)), address, ...SLOTS))
  checkProof('cast', proof, stateRoot, 309n)
  should((await cast('storage', address, '0')) === ethers.toBeHex(309, 32), 'cast: a slot is read')
}

/** The same in Rust: its lines are told here. */
async function withAlloy(node, account, { bytecode }) {
  const program = process.argv[3]
  if (!program) return console.log('alloy: not asked for')
  const { stdout } = await run(program, [node.url, node.token, account.secret, bytecode], { timeout: 60_000 })
    .catch((why) => ({ stdout: `${why.stdout}\nnot ok alloy: ${why.stderr || 'a check failed'}` }))
  for (const line of stdout.trim().split('\n')) should(line.startsWith('ok '), line.replace(/^(not )?ok /, ''))
}

/** The same in Python. */
async function withWeb3(node, account, { abi, bytecode }) {
  const python = process.argv[4]
  if (!python) return console.log('web3.py: not asked for')
  const words = [here('web3_client.py'), node.url, node.token, account.secret, bytecode, JSON.stringify(abi)]
  const { stdout } = await run(python, words, { timeout: 60_000, env: { PYTHONDONTWRITEBYTECODE: '1' } })
    .catch((why) => ({ stdout: `${why.stdout}\nnot ok web3.py: ${why.stderr || 'a check failed'}` }))
  for (const line of stdout.trim().split('\n')) should(line.startsWith('ok '), line.replace(/^(not )?ok /, ''))
}

/** What fetch says of a connection that the other side has closed. */
const closed = ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']

/** The port itself: who is let in, and what is no question. */
async function atTheDoor(node) {
  const call = { jsonrpc: '2.0', id: 1, method: 'eth_chainId', params: [] }
  const ask = async (changes = {}) => {
    const { headers, ...rest } = changes
    const sent = { 'Content-Type': 'application/json', Authorization: `Bearer ${node.token}`, ...headers }
    const body = rest.method && rest.method !== 'POST' ? undefined : (rest.body ?? JSON.stringify(call))
    const once = () => fetch(node.url + (rest.path ?? ''), { method: rest.method ?? 'POST', headers: sent, body })
    // A connection is closed by the node after an answer to what it did not read to the end. fetch may take it for the
    // next question: such a one is asked again.
    return once().catch((why) => (closed.includes(why.cause?.code) ? once() : Promise.reject(why)))
  }
  const status = async (changes) => {
    const answer = await ask(changes)
    await answer.arrayBuffer()
    return answer.status
  }
  should((await (await ask()).json()).result === '0x14821', 'door: whoever has the token is answered')
  for (const [says, code, changes] of [
    ['no token', 401, { headers: { Authorization: '' } }],
    ['a wrong token', 401, { headers: { Authorization: `Bearer ${'0'.repeat(64)}` } }],
    ['another scheme', 401, { headers: { Authorization: `Basic ${node.token}` } }],
    ['GET', 405, { method: 'GET' }],
    ['DELETE', 405, { method: 'DELETE' }],
    ['another address', 404, { path: '/admin' }],
    ['another media type', 415, { headers: { 'Content-Type': 'text/plain' } }],
    ['a page of another origin', 403, { headers: { Origin: 'https://evil.example' } }],
    ['two megabytes', 413, { body: ' '.repeat(2 << 20) }],
  ])
    should((await status(changes)) === code, `door: ${says} is refused with ${code}`)
  const preflight = await ask({ method: 'OPTIONS', headers: { Origin: 'https://wallet.example', Authorization: '' } })
  should(
    preflight.status === 204 && preflight.headers.get('access-control-allow-origin') === 'https://wallet.example' &&
      preflight.headers.get('access-control-allow-headers').includes('authorization'),
    'door: a page of a named origin may ask',
  )
  should((await status({ method: 'OPTIONS', headers: { Origin: 'https://evil.example' } })) === 403, 'door: others may not')
  const bomb = await (await ask({ body: JSON.stringify(Array(5000).fill(call)) })).json()
  should(bomb.length === 1 && bomb[0].error.code === -32600 && bomb[0].id === 1, 'door: a batch bomb is refused as geth does, once')
  const deep = await ask({ body: '['.repeat(500_000) })
  should((await deep.json()).error.code === -32700, 'door: deep JSON is refused')
  const only = await ask({ body: JSON.stringify({ jsonrpc: '2.0', method: 'eth_chainId' }) })
  should(only.status === 204, 'door: a notification has no answer')
}

const node = await Node.found(process.argv[2])
try {
  const tally = compile()
  await node.start()
  await node.stop()
  const account = await node.account()
  await node.start()
  await part('door', () => atTheDoor(node))
  await part('viem', () => withViem(node, account, tally))
  await part('ethers', () => withEthers(node, account, tally))
  await part('cast', () => withCast(node, account, tally))
  await part('alloy', () => withAlloy(node, account, tally))
  await part('web3.py', () => withWeb3(node, account, tally))
} finally {
  await node.stop()
  await node.remove()
}
console.log(bad.length ? `${bad.length} checks failed:\n  ${bad.join('\n  ')}` : `${good} checks hold`)
process.exit(bad.length ? 1 : 0)
