// A real node with its JSON-RPC port, and the key of its organisation's account.

import { execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export const run = promisify(execFile)

export class Node {
  static async found(binary) {
    const folder = await mkdtemp(join(tmpdir(), 'aceso-rpc-'))
    const node = Object.assign(new Node(), { binary, folder, config: join(folder, 'node.toml') })
    await writeFile(join(folder, 'passphrase'), 'a passphrase for a test\n')
    await writeFile(
      node.config,
      `data_dir = "${folder}/node"\npassphrase_file = "${folder}/passphrase"\nname = "Tools"\n` +
        `heartbeat_ms = 200\n[rpc]\nlisten = "127.0.0.1:0"\norigins = ["https://wallet.example"]\n`,
    )
    return node
  }

  async start() {
    this.child = spawn(this.binary, ['node', '--config', this.config], { stdio: ['ignore', 'pipe', 'pipe'] })
    let complaints = ''
    this.child.stderr.on('data', (text) => (complaints = (complaints + text).slice(-4000)))
    this.ended = new Promise((done) => this.child.once('exit', done))
    for await (const line of createInterface({ input: this.child.stdout })) {
      if (!line.startsWith('READY ')) continue
      this.ready = JSON.parse(line.slice(6))
      this.url = `http://${this.ready.rpc}`
      this.token = (await readFile(join(this.folder, 'node', 'rpc.token'), 'utf8')).trim()
      this.child.stdout.resume()
      return
    }
    throw new Error(`the node did not start: ${complaints}`)
  }

  async stop() {
    this.child?.kill('SIGTERM')
    await this.ended
  }

  /** The secret of the organisation's account, as its operator gets it. */
  async account() {
    const out = join(this.folder, 'sender.key')
    const { stdout } = await run(this.binary, ['account', 'export', '--config', this.config, '--out', out])
    if (((await stat(out)).mode & 0o777) !== 0o600) throw new Error('the key can be read by others')
    return { ...JSON.parse(stdout), secret: (await readFile(out, 'utf8')).trim() }
  }

  async remove() {
    await rm(this.folder, { recursive: true, force: true })
  }
}
