// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Authorities} from "../src/Authorities.sol";
import {Directory} from "../src/Directory.sol";
import {Ward} from "./Ward.sol";

/// Random organisations doing random things, as forge calls them; keeps what was settled.
contract Crowd is Ward {
    uint8 internal constant ORGANISATIONS = 6;
    uint8 internal constant KEYS = 10;

    mapping(uint64 epoch => bytes32) public settled;
    uint64[] public epochs;
    uint256 public accepted;

    constructor() {
        found(ORGANISATIONS, 3);
        note();
    }

    /// The committees of this epoch and the next are settled: what they are is remembered the first time.
    modifier noted() {
        _;
        note();
    }

    function note() private {
        uint64 now_ = authorities.epoch();
        for (uint64 e = now_; e <= now_ + 1; e++) {
            if (settled[e] != 0) continue;
            settled[e] = keccak256(abi.encode(authorities.committee(e)));
            epochs.push(e);
        }
    }

    function add(uint8 by, uint8 key, uint8 operator) external noted {
        be(sender(by % ORGANISATIONS));
        authorities.proposeValidator(validatorKey(key % KEYS), org(operator % ORGANISATIONS), "");
    }

    function remove(uint8 by, uint8 key) external noted {
        be(sender(by % ORGANISATIONS));
        authorities.proposeRemoval(validatorKey(key % KEYS));
    }

    function replace(uint8 by, uint8 old, uint8 key) external noted {
        be(sender(by % ORGANISATIONS));
        authorities.proposeKey(validatorKey(old % KEYS), validatorKey(key % KEYS), "h:1");
    }

    function expel(uint8 by, uint8 organisation) external noted {
        be(sender(by % ORGANISATIONS));
        bytes16 id = org(organisation % ORGANISATIONS);
        // So that a crowd is left.
        if (organisation % ORGANISATIONS < 3) return;
        authorities.proposeExpulsion(id);
    }

    function vote(uint8 by, uint8 newestLess) external noted {
        be(sender(by % ORGANISATIONS));
        authorities.vote(authorities.proposalCount() - newestLess % 4);
        accepted++;
    }

    /// What a consortium does when it is of one mind, so that random calls get somewhere.
    function agree(uint8 newestLess) external noted {
        uint64 id = authorities.proposalCount() - newestLess % 4;
        for (uint8 i = 0; i < ORGANISATIONS; i++) {
            be(sender(i));
            try authorities.vote(id) {} catch {}
        }
    }

    function pass(uint8 blocks) external noted {
        advance(1 + blocks % 15);
    }

    function theAuthorities() external view returns (Authorities) {
        return authorities;
    }

    function epochsNoted() external view returns (uint256) {
        return epochs.length;
    }

    function organisation(uint8 i) external pure returns (bytes16) {
        return org(i);
    }
}

abstract contract CrowdTest {
    Crowd internal crowd;
    Authorities internal authorities;

    function setUp() public {
        crowd = new Crowd();
        authorities = crowd.theAuthorities();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }
}

/// What holds of the votes whatever anybody does.
contract AuthoritiesInvariants is CrowdTest {
    /// One campaign for all of them: forge runs one for each function named so.
    function invariant_OfTheVotes() public view {
        settledCommitteesNeverChange();
        thereIsAlwaysACommittee();
        seatsAreCountedRight();
        committeesAscend();
        acceptedHadVotes();
    }

    function settledCommitteesNeverChange() private view {
        uint64 now_ = authorities.epoch();
        for (uint256 i = 0; i < crowd.epochsNoted(); i++) {
            uint64 epoch = crowd.epochs(i);
            // Earlier ones may be forgotten.
            if (epoch + 1 < now_) continue;
            require(keccak256(abi.encode(authorities.committee(epoch))) == crowd.settled(epoch), "settled");
        }
    }

    function thereIsAlwaysACommittee() private view {
        uint64 now_ = authorities.epoch();
        for (uint64 epoch = now_; epoch < now_ + 5; epoch++) {
            uint256 count = authorities.committee(epoch).length;
            require(count > 0 && count <= authorities.COMMITTEE_MAX(), "a committee");
        }
    }

    function seatsAreCountedRight() private view {
        uint256 staying;
        uint256 seated;
        for (uint256 i = 0; i < authorities.validatorCount(); i++) {
            (bytes32 key,,, uint64 until) = authorities.validators(i);
            require(authorities.places(key) == i + 1, "every key has its place");
            if (until == 0) staying++;
        }
        uint256 seats;
        for (uint8 i = 0; i < 6; i++) {
            uint64 mine = authorities.seats(crowd.organisation(i));
            seats += mine;
            if (mine != 0) seated++;
        }
        require(staying == authorities.staying() && seats == staying, "seats");
        require(seated == authorities.seated() && seated > 0, "seated");
    }

    function committeesAscend() private view {
        bytes32[] memory keys = authorities.committee(authorities.epoch() + 2);
        for (uint256 i = 1; i < keys.length; i++) require(keys[i - 1] < keys[i], "ascending");
    }

    function acceptedHadVotes() private view {
        for (uint64 id = 1; id <= authorities.proposalCount(); id++) {
            Authorities.Proposal memory p = authorities.proposal(id);
            require(p.acceptedAt == 0 || p.votes.length > 0, "somebody voted");
            require(p.acceptedAt == 0 || p.actsFrom >= 2, "two epochs ahead");
            for (uint256 i = 0; i < p.votes.length; i++) {
                for (uint256 j = 0; j < i; j++) require(p.votes[i] != p.votes[j], "one vote each");
            }
        }
    }
}

/// An invariant that does not hold: scripts/contracts-check.sh expects forge to find that out.
contract BrokenInvariant is CrowdTest {
    function invariant_TheCommitteeAfterNextNeverChanges() public view {
        require(authorities.committee(authorities.epoch() + 2).length == 3, "it does change, after a vote");
    }
}
