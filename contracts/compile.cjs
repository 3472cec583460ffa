// Compiles src/*.sol to artifacts/*.json.
//   node compile.cjs           writes the artifacts
//   node compile.cjs --check   fails if the committed artifacts are not what the sources give
// The bytecode is the same for every evmVersion from cancun on; osaka is what the embedded ledger runs.
'use strict';
const solc = require('solc');
const fs = require('fs');
const path = require('path');
const crypto = require('crypto');

const CONTRACTS = [
  'Directory', 'P256Verifier', 'Devices', 'Consents', 'Anchors', 'Authorities', 'WebAuthnVerifier', 'Policies',
  'TwoClinicians', 'Roles',
];
const src = path.join(__dirname, 'src');
const modules = path.join(__dirname, 'node_modules');
const artifacts = path.join(__dirname, 'artifacts');
const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

const files = fs.readdirSync(src).filter((name) => name.endsWith('.sol')).sort();
const content = Object.fromEntries(files.map((name) => [name, fs.readFileSync(path.join(src, name), 'utf8')]));
const settings = {
  optimizer: { enabled: true, runs: 10000 },
  evmVersion: 'cancun',
  metadata: { bytecodeHash: 'none', appendCBOR: false },
  outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object', 'storageLayout'] } },
};
const input = {
  language: 'Solidity',
  sources: Object.fromEntries(files.map((name) => [name, { content: content[name] }])),
  settings,
};
const find = (name) => {
  try {
    return { contents: fs.readFileSync(path.join(modules, name), 'utf8') };
  } catch (error) {
    return { error: String(error) };
  }
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
for (const problem of output.errors || []) console.error(problem.formattedMessage);
if ((output.errors || []).length > 0) process.exit(1); // warnings too

const sources = Object.fromEntries(files.map((name) => [name, sha256(content[name])]));
// Type names carry compiler-internal numbers; the layout that matters is label, slot, offset and type.
const layout = ({ storage, types }) =>
  storage.map(({ label, slot, offset, type }) => {
    const value = types[types[type].value || types[type].base || type];
    const members = (value.members || []).map((m) => ({
      label: m.label, slot: m.slot, offset: m.offset, type: types[m.type].label,
    }));
    return { label, slot, offset, type: types[type].label, members };
  });

let stale = 0;
fs.mkdirSync(artifacts, { recursive: true });
for (const name of CONTRACTS) {
  const made = output.contracts[`${name}.sol`][name];
  const artifact = {
    contractName: name,
    compiler: solc.version(),
    openzeppelin: require('@openzeppelin/contracts/package.json').version,
    settings: { optimizer: settings.optimizer, evmVersion: settings.evmVersion, metadata: settings.metadata },
    sources,
    storageLayout: made.storageLayout ? layout(made.storageLayout) : [],
    abi: made.abi,
    bytecode: '0x' + made.evm.bytecode.object,
    deployedBytecode: '0x' + made.evm.deployedBytecode.object,
  };
  const text = JSON.stringify(artifact, null, 1) + '\n';
  const file = path.join(artifacts, `${name}.json`);
  if (process.argv.includes('--check')) {
    const same = fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text;
    if (!same) stale += 1;
    console.log(`${name}: ${same ? 'matches its source' : 'STALE, run node compile.cjs'}`);
  } else {
    fs.writeFileSync(file, text);
    console.log(`${name}: ${made.evm.deployedBytecode.object.length / 2} bytes of code`);
  }
}
process.exit(stale === 0 ? 0 : 1);
