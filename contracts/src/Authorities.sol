// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {nowMs} from "./Clock.sol";
import {Directory} from "./Directory.sol";
import {isEndpoint} from "./Endpoint.sol";

/// @title Who decides: the organisations that run validators vote on validators and on organisations.
/// @notice An organisation with a staying validator is seated and has one vote, however many it runs. What more
///         than half of the seated organisations voted for in epoch E acts on the committee from epoch E + 2.
/// @dev Immutable, without owner. Storage (see docs/wire.md): slot 0 validators, slot 1 places, slot 2
///      endpoints, slot 3 seats, slot 4 counters, slot 5 proposals, slot 6 open proposals.
contract Authorities {
    /// Most validators that stay at a time.
    uint256 public constant COMMITTEE_MAX = 100;
    /// A proposal that is older counts no more votes.
    uint64 public constant PROPOSAL_AGE_MAX_MS = 7 days * 1000;
    /// Most proposals of one organisation that are open at a time.
    uint256 public constant PROPOSALS_OPEN_MAX = 8;
    /// A change acts this many epochs after the one it was accepted in.
    uint64 public constant EPOCHS_AHEAD = 2;

    /// Kinds of proposals.
    uint8 public constant ADD_VALIDATOR = 1;
    uint8 public constant REMOVE_VALIDATOR = 2;
    uint8 public constant REPLACE_KEY = 3;
    uint8 public constant ADMIT_ORGANISATION = 4;
    uint8 public constant REMOVE_ORGANISATION = 5;

    struct Validator {
        /// Ed25519 public key.
        bytes32 key;
        /// The organisation that operates it.
        bytes16 org;
        /// First epoch of its committee.
        uint64 from;
        /// First epoch without it; zero while it stays.
        uint64 until;
    }

    struct Proposal {
        /// The validator's key to add, to remove or to come; the record key of an organisation to admit.
        bytes32 key;
        /// The key that goes, when one is replaced.
        bytes32 old;
        /// The organisation it is about.
        bytes16 org;
        /// The organisation that proposed it.
        bytes16 proposer;
        /// The account of an organisation to admit.
        address sender;
        /// Milliseconds.
        uint64 proposedAt;
        /// One of the five kinds; zero while the proposal does not exist.
        uint8 kind;
        /// Milliseconds; zero until accepted.
        uint64 acceptedAt;
        /// Epoch from which the committee shows it, once accepted.
        uint64 actsFrom;
        /// Where the added validator is reached, host:port; may be empty.
        string endpoint;
        /// Who voted for it.
        bytes16[] votes;
    }

    /// Who exists.
    Directory public immutable directory;
    /// Epoch e covers the blocks e * epochBlocks to (e + 1) * epochBlocks - 1.
    uint64 public immutable epochBlocks;

    /// Validators that stay, are to come, or left in this epoch or the one before; in no order.
    Validator[] public validators;
    /// One more than the validator's index.
    mapping(bytes32 key => uint256) public places;
    /// Where validators are reached.
    mapping(bytes32 key => string) public endpoints;
    /// Staying validators of an organisation.
    mapping(bytes16 org => uint64) public seats;
    /// Organisations with a staying validator.
    uint64 public seated;
    /// Staying validators.
    uint64 public staying;
    /// Proposals there ever were; their ids count from 1.
    uint64 public proposalCount;
    mapping(uint64 id => Proposal) private proposals;
    mapping(bytes16 org => uint64[]) private openProposals;

    event Proposed(uint64 indexed id, bytes16 indexed proposer, uint8 kind, bytes32 key, bytes16 org);
    event Voted(uint64 indexed id, bytes16 indexed org);
    event Accepted(uint64 indexed id, uint64 actsFrom);
    event ValidatorJoins(bytes32 indexed key, bytes16 indexed org, uint64 from);
    event ValidatorLeaves(bytes32 indexed key, bytes16 indexed org, uint64 until);
    event Announced(bytes32 indexed key, bytes16 indexed org, string endpoint);

    /// An epoch has no blocks.
    error EpochEmpty();
    /// Only organisations with a staying validator decide.
    error NotSeated(bytes16 org);
    /// No validator has the key zero.
    error ValidatorKeyMissing();
    /// This key is a validator's now, or was until just now.
    error ValidatorKnown(bytes32 key);
    /// No staying validator has this key.
    error ValidatorUnknown(bytes32 key);
    /// Only the organisation that operates the validator decides about this.
    error NotTheOperator(bytes16 operator);
    /// The committee has as many validators as it may.
    error CommitteeFull();
    /// A ledger needs a validator.
    error LastValidator();
    /// Not host:port, or too long.
    error EndpointWrong();
    /// The organisation has as many open proposals as it may.
    error ProposalsOpen(bytes16 org);
    /// No proposal has this id.
    error ProposalUnknown(uint64 id);
    /// The proposal was accepted before.
    error ProposalAccepted(uint64 id);
    /// The proposal is too old.
    error ProposalExpired(uint64 id);
    /// One vote each.
    error VoteRepeated(bytes16 org);
    /// Not more than half of the seated organisations voted for it.
    error VotesMissing(uint64 votes, uint64 seated);

    /// @param directory_ Who exists.
    /// @param epochBlocks_ Blocks in an epoch.
    /// @param keys Ed25519 keys of the founding validators.
    /// @param operators The organisations that operate them, in the same order.
    constructor(Directory directory_, uint64 epochBlocks_, bytes32[] memory keys, bytes16[] memory operators) {
        if (epochBlocks_ == 0) revert EpochEmpty();
        if (keys.length > COMMITTEE_MAX) revert CommitteeFull();
        directory = directory_;
        epochBlocks = epochBlocks_;
        for (uint256 i = 0; i < keys.length; i++) {
            if (!directory_.isActive(operators[i])) revert Directory.OrganisationUnknown(operators[i]);
            join(keys[i], operators[i], "", 0);
        }
        if (staying == 0) revert LastValidator();
    }

    /// @notice Proposes a validator. A seated organisation proposes any, another one only its own.
    function proposeValidator(bytes32 key, bytes16 org, string calldata endpoint) external returns (uint64) {
        bytes16 proposer = directory.requireOrganisation(msg.sender);
        if (seats[proposer] == 0 && org != proposer) revert NotSeated(proposer);
        Proposal memory p;
        (p.kind, p.key, p.org, p.endpoint) = (ADD_VALIDATOR, key, org, endpoint);
        return propose(proposer, p);
    }

    /// @notice Proposes that a validator leaves.
    function proposeRemoval(bytes32 key) external returns (uint64) {
        bytes16 proposer = requireSeated();
        Proposal memory p;
        (p.kind, p.key) = (REMOVE_VALIDATOR, key);
        if (places[key] != 0) p.org = validators[places[key] - 1].org;
        return propose(proposer, p);
    }

    /// @notice Proposes a new key for a validator of the organisation that sends.
    function proposeKey(bytes32 old, bytes32 key, string calldata endpoint) external returns (uint64) {
        bytes16 proposer = directory.requireOrganisation(msg.sender);
        Proposal memory p;
        (p.kind, p.key, p.old, p.org, p.endpoint) = (REPLACE_KEY, key, old, proposer, endpoint);
        return propose(proposer, p);
    }

    /// @notice Proposes that an organisation is admitted to the directory.
    function proposeOrganisation(bytes32 recordKey, address sender) external returns (uint64) {
        bytes16 proposer = requireSeated();
        Proposal memory p;
        (p.kind, p.key, p.sender) = (ADMIT_ORGANISATION, recordKey, sender);
        p.org = bytes16(sha256(abi.encodePacked(recordKey)));
        return propose(proposer, p);
    }

    /// @notice Proposes that an organisation leaves, with all its validators.
    function proposeExpulsion(bytes16 org) external returns (uint64) {
        bytes16 proposer = requireSeated();
        Proposal memory p;
        (p.kind, p.org) = (REMOVE_ORGANISATION, org);
        return propose(proposer, p);
    }

    /// @notice Votes for a proposal; the vote that makes it more than half carries it out.
    function vote(uint64 id) external {
        bytes16 org = requireSeated();
        Proposal storage p = requireOpen(id);
        for (uint256 i = 0; i < p.votes.length; i++) if (p.votes[i] == org) revert VoteRepeated(org);
        p.votes.push(org);
        emit Voted(id, org);
        if (2 * countVotes(p) > seated) accept(id, p);
    }

    /// @notice Carries out a proposal whose votes became more than half because others lost their seats.
    function settle(uint64 id) external {
        directory.requireOrganisation(msg.sender);
        Proposal storage p = requireOpen(id);
        uint64 votes = countVotes(p);
        if (2 * votes <= seated) revert VotesMissing(votes, seated);
        accept(id, p);
    }

    /// @notice Says where a validator of the organisation that sends is reached; empty for nowhere.
    function announce(bytes32 key, string calldata endpoint) external {
        bytes16 org = directory.requireOrganisation(msg.sender);
        uint256 place = places[key];
        if (place == 0) revert ValidatorUnknown(key);
        if (validators[place - 1].org != org) revert NotTheOperator(validators[place - 1].org);
        if (!isEndpoint(endpoint)) revert EndpointWrong();
        endpoints[key] = endpoint;
        emit Announced(key, org, endpoint);
    }

    /// @notice The epoch of this block.
    function epoch() public view returns (uint64) {
        return uint64(block.number) / epochBlocks;
    }

    /// @notice Keys of an epoch's committee, ascending. Known are the epoch before this one, this one and, final
    ///         only if no later change is accepted before it, those to come; the next one is final.
    function committee(uint64 epoch_) external view returns (bytes32[] memory keys) {
        uint256 count;
        keys = new bytes32[](validators.length);
        for (uint256 i = 0; i < validators.length; i++) {
            Validator storage v = validators[i];
            if (v.from > epoch_ || (v.until != 0 && v.until <= epoch_)) continue;
            uint256 place = count++;
            for (; place > 0 && keys[place - 1] > v.key; place--) keys[place] = keys[place - 1];
            keys[place] = v.key;
        }
        assembly ("memory-safe") {
            mstore(keys, count)
        }
    }

    /// @notice Entries of `validators`.
    function validatorCount() external view returns (uint256) {
        return validators.length;
    }

    /// @notice A proposal with its votes.
    function proposal(uint64 id) external view returns (Proposal memory) {
        return proposals[id];
    }

    function propose(bytes16 proposer, Proposal memory p) private returns (uint64 id) {
        prune();
        if (!isEndpoint(p.endpoint)) revert EndpointWrong();
        requirePossible(p);
        forgetClosed(openProposals[proposer]);
        if (openProposals[proposer].length >= PROPOSALS_OPEN_MAX) revert ProposalsOpen(proposer);
        id = ++proposalCount;
        openProposals[proposer].push(id);
        (p.proposer, p.proposedAt) = (proposer, nowMs());
        proposals[id] = p;
        emit Proposed(id, proposer, p.kind, p.key, p.org);
        if (seats[proposer] == 0) return id;
        proposals[id].votes.push(proposer);
        emit Voted(id, proposer);
        if (seated == 1) accept(id, proposals[id]);
    }

    /// Reverts if what `p` proposes could not be carried out now.
    function requirePossible(Proposal memory p) private view {
        if (p.kind == ADD_VALIDATOR) {
            if (!directory.isActive(p.org)) revert Directory.OrganisationUnknown(p.org);
            requireNewValidator(p.key);
            if (staying >= COMMITTEE_MAX) revert CommitteeFull();
        } else if (p.kind == REMOVE_VALIDATOR) {
            requireStaying(p.key);
            if (staying == 1) revert LastValidator();
        } else if (p.kind == REPLACE_KEY) {
            Validator storage old = requireStaying(p.old);
            if (old.org != p.org) revert NotTheOperator(old.org);
            requireNewValidator(p.key);
        } else if (p.kind == ADMIT_ORGANISATION) {
            directory.requireNew(p.key, p.sender);
        } else {
            if (!directory.isActive(p.org)) revert Directory.OrganisationUnknown(p.org);
            if (seats[p.org] == staying) revert LastValidator();
        }
    }

    function accept(uint64 id, Proposal storage p) private {
        prune();
        requirePossible(p);
        uint64 from = epoch() + EPOCHS_AHEAD;
        (p.acceptedAt, p.actsFrom) = (nowMs(), from);
        if (p.kind == ADD_VALIDATOR) {
            join(p.key, p.org, p.endpoint, from);
        } else if (p.kind == REMOVE_VALIDATOR) {
            depart(places[p.key] - 1, from);
        } else if (p.kind == REPLACE_KEY) {
            depart(places[p.old] - 1, from);
            join(p.key, p.org, p.endpoint, from);
        } else if (p.kind == ADMIT_ORGANISATION) {
            directory.admit(p.key, p.sender);
        } else {
            for (uint256 i = 0; i < validators.length; i++) {
                if (validators[i].org == p.org && validators[i].until == 0) depart(i, from);
            }
            directory.remove(p.org);
        }
        emit Accepted(id, from);
    }

    function join(bytes32 key, bytes16 org, string memory endpoint, uint64 from) private {
        requireNewValidator(key);
        validators.push(Validator(key, org, from, 0));
        places[key] = validators.length;
        if (bytes(endpoint).length != 0) endpoints[key] = endpoint;
        staying++;
        if (seats[org]++ == 0) seated++;
        emit ValidatorJoins(key, org, from);
    }

    function depart(uint256 index, uint64 until) private {
        Validator storage v = validators[index];
        v.until = until;
        staying--;
        if (--seats[v.org] == 0) seated--;
        emit ValidatorLeaves(v.key, v.org, until);
    }

    /// Forgets validators that were in no committee of this epoch and the one before.
    function prune() private {
        uint64 now_ = epoch();
        for (uint256 i = validators.length; i > 0; i--) {
            Validator memory v = validators[i - 1];
            if (v.until == 0 || v.until >= now_) continue;
            Validator memory last = validators[validators.length - 1];
            validators[i - 1] = last;
            places[last.key] = i;
            validators.pop();
            delete places[v.key];
            delete endpoints[v.key];
        }
    }

    function forgetClosed(uint64[] storage ids) private {
        for (uint256 i = ids.length; i > 0; i--) {
            Proposal storage p = proposals[ids[i - 1]];
            if (p.acceptedAt == 0 && nowMs() <= p.proposedAt + PROPOSAL_AGE_MAX_MS) continue;
            ids[i - 1] = ids[ids.length - 1];
            ids.pop();
        }
    }

    function countVotes(Proposal storage p) private view returns (uint64 votes) {
        for (uint256 i = 0; i < p.votes.length; i++) if (seats[p.votes[i]] != 0) votes++;
    }

    function requireSeated() private view returns (bytes16 org) {
        org = directory.requireOrganisation(msg.sender);
        if (seats[org] == 0) revert NotSeated(org);
    }

    function requireOpen(uint64 id) private view returns (Proposal storage p) {
        p = proposals[id];
        if (p.kind == 0) revert ProposalUnknown(id);
        if (p.acceptedAt != 0) revert ProposalAccepted(id);
        if (nowMs() > p.proposedAt + PROPOSAL_AGE_MAX_MS) revert ProposalExpired(id);
    }

    function requireNewValidator(bytes32 key) private view {
        if (key == 0) revert ValidatorKeyMissing();
        if (places[key] != 0) revert ValidatorKnown(key);
    }

    function requireStaying(bytes32 key) private view returns (Validator storage v) {
        if (places[key] == 0) revert ValidatorUnknown(key);
        v = validators[places[key] - 1];
        if (v.until != 0) revert ValidatorUnknown(key);
    }
}
