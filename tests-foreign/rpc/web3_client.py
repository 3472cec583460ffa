"""web3.py, unmodified, against a real node.

    web3_client.py URL TOKEN SECRET BYTECODE ABI

Prints a line per check; status 1 if one fails.
"""

import json
import sys
import time

from web3 import HTTPProvider, Web3
from web3.logs import DISCARD

START, WAIT_S = 400, 30


def main():
    url, token, secret, bytecode, abi = sys.argv[1:]
    abi, bad = json.loads(abi), []

    def should(holds, text):
        if not holds:
            bad.append(text)
        print(f"{'ok' if holds else 'not ok'} web3.py: {text}", flush=True)

    def refused(ask):
        try:
            ask()
        except Exception as why:
            return f"{type(why).__name__}: {why}"
        return ""

    # Headers that are given replace web3.py's own, the content type among them.
    bare = Web3(HTTPProvider(url, request_kwargs={"headers": {"Authorization": f"Bearer {token}"}}))
    should("415" in refused(lambda: bare.eth.chain_id), "without a content type it is refused with 415")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    w3 = Web3(HTTPProvider(url, request_kwargs={"headers": headers}))
    should(w3.is_connected() and w3.eth.chain_id == 84001, "with token and content type it is answered")

    account = w3.eth.account.from_key(secret)

    def send(call, gas=None, **fees):
        fees = fees or {"maxFeePerGas": w3.to_wei(1, "gwei"), "maxPriorityFeePerGas": w3.to_wei(1, "gwei")}
        nonce = w3.eth.get_transaction_count(account.address, "pending")
        made = call.build_transaction({"from": account.address, "nonce": nonce, **({"gas": gas} if gas else {}), **fees})
        sent = w3.eth.send_raw_transaction(account.sign_transaction(made).raw_transaction)
        return w3.eth.wait_for_transaction_receipt(sent, timeout=WAIT_S, poll_latency=0.1)

    deployed = send(w3.eth.contract(abi=abi, bytecode=bytecode).constructor(START))
    tally = w3.eth.contract(abi=abi, address=deployed.contractAddress)
    should(deployed.status == 1 and len(w3.eth.get_code(tally.address)) > 50, "a contract is deployed")

    blocks, events = w3.eth.filter("latest"), tally.events.Counted.create_filter(from_block="latest")
    for name, fees in (("1559", {}), ("legacy", {"gasPrice": w3.to_wei(3, "gwei")})):
        receipt = send(tally.functions.count(2), **fees)
        shown = w3.eth.get_transaction(receipt.transactionHash)
        should(receipt.status == 1 and receipt.effectiveGasPrice == shown.gasPrice,
               f"{name}: transaction and receipt name one price ({shown.gasPrice} wei)")
        should(len(tally.events.Counted().process_receipt(receipt, errors=DISCARD)) == 1, f"{name}: the receipt has its event")
    should(w3.eth.get_balance(account.address) == 0, "and nothing was charged")
    should(tally.functions.total().call() == START + 4, "a call reads the state")
    told, heads, until = [], [], time.monotonic() + WAIT_S
    while (len(told) < 2 or not heads) and time.monotonic() < until:
        told, heads = told + events.get_new_entries(), heads + blocks.get_new_entries()
        time.sleep(0.1)
    should(len(told) == 2 and heads, "filters are polled for events and blocks")
    found = tally.events.Counted.get_logs(from_block=0)
    should(len(found) == 2 and found[1].args.total == START + 4, "events are found from block 0 on")

    why = refused(lambda: tally.functions.count(0).call())
    should("ContractCustomError" in why or "ContractLogicError" in why or "execution reverted" in why, f"a refusal is one: {why[:60]}")
    why = refused(lambda: w3.eth.call({"data": "0xfe"}))
    should("invalid opcode" in why and "Opcode(" not in why, f"a call that fails says so in geth's words: {why[:60]}")
    why = refused(lambda: w3.eth.get_transaction("0x" + "11" * 32))
    should("TransactionNotFound" in why, "an unknown transaction is one")
    why = refused(lambda: w3.eth.get_transaction_receipt("0x" + "11" * 32))
    should("TransactionNotFound" in why, "and has no receipt")
    latest = w3.eth.get_block("latest")
    receipts = w3.eth.get_block_receipts(receipt.blockNumber)
    should(latest.baseFeePerGas == 0 and receipts[receipt.transactionIndex] == receipt, "a block's receipts are those of its transactions")
    with w3.batch_requests() as batch:
        for height in range(20):
            batch.add(w3.eth.get_block(height))
        answers = batch.execute()
    should([one.number for one in answers] == list(range(20)), "a batch is answered in order")
    for method, params in (("eth_subscribe", ["newHeads"]), ("eth_createAccessList", [{}]), ("eth_newPendingTransactionFilter", [])):
        answer = w3.provider.make_request(method, params)
        should(answer.get("error", {}).get("code") == -32601, f"{method} is answered as a method that is not there")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
