//! Roles beyond the first five, on a ledger whose genesis does not have them.

use super::*;
use crate::contracts::roles;
use proptest::prelude::*;
use testkit::model::LedgerModel;
use vitals::eip712::grant_id;
use vitals::governance::Motion;
use vitals::proof::contracts::{ROLES, ROLES_VERSION, address_book_key};
use vitals::refusal::Refusal;

const NURSE: u8 = 7;

fn name(text: &str) -> [u8; 32] {
    let mut name = [0; 32];
    name[..text.len()].copy_from_slice(text.as_bytes());
    name
}

/// A ledger of three organisations with a validator each.
fn three() -> Ward {
    let mut document = founded_by(3);
    document.committee = vec![[3; 32], [4; 32], [5; 32]];
    document.operators = (0..3).map(org).collect();
    Ward::of(document, Config::default())
}

fn entry_for(contract: [u8; 20]) -> Act {
    let record_key = address_book_key(ROLES, ROLES_VERSION);
    Act::Propose(Motion::AdmitOrganisation { record_key, sender: contract })
}

/// Sends an act and applies it to the model: both must do it.
fn both(ward: &mut Ward, model: &mut LedgerModel, number: u8, act: &Act) {
    ward.done(number, act);
    let sender = account::address_of(&secret(number)).unwrap();
    model.apply(sender, act, ward.machine.tip().height, ward.machine.tip().time_ms).unwrap();
}

/// The address book holds the registry, by two votes of three.
fn admit_registry(ward: &mut Ward, model: &mut LedgerModel) -> [u8; 20] {
    let contract = deploy(ward, 0, roles::creation(&ward.machine.contracts()));
    both(ward, model, 0, &entry_for(contract));
    assert_eq!(ward.machine.view().contracts().roles, None, "one vote of three is not enough");
    let proposal = ward.machine.view().proposals(1).unwrap()[0].id;
    both(ward, model, 1, &Act::Vote { proposal });
    assert_eq!(ward.machine.view().contracts().roles, Some(contract.into()));
    contract
}

/// Creation code of every genesis contract as committed before the registry of roles was written.
#[test]
fn genesis_is_that_of_the_builds_before_the_registry_of_roles() {
    let codes = [
        ("Directory", "dcf0e0b8af8d597b64debc399bc8fd75af2794391dd0c785ac7611b234a49669"),
        ("P256Verifier", "911bca970419d8b1b3911579f5072544bdf4fd152007571d9a948247be3d6624"),
        ("Devices", "8751fa463c1fd557ede26cb4def345c15c89a115c4e48cea4bb659472d419f87"),
        ("Consents", "329eedd1fee112fd6e1f1230cad8135f5af910ca3b68b40c3ed1b0e9146b784a"),
        ("Anchors", "e46b85c547f040f902467bc4c8a06f95fa370f31046f2cb9ac97e17d7408fbbc"),
        ("Authorities", "c98a1446f35b48f93d88a2b75dcf617c9a2612416516348fa22273c20aa8d92d"),
        ("WebAuthnVerifier", "7afe606a85abda5532159c5d3c7b8595525008b1994f528c3aa46ebaeb6ee25b"),
        ("Policies", "32ac594bee55d205d4a1d1caaedcbf8eca9ce0713e06858d3bbb3b03285c4e77"),
    ];
    let document = founded_by(1);
    let found: Vec<(&str, String)> = document
        .contracts
        .iter()
        .map(|contract| (contract.name.as_str(), alloy_primitives::hex::encode(contract.code)))
        .collect();
    assert_eq!(found, codes.map(|(name, code)| (name, code.to_owned())));
}

#[test]
fn running_ledger_gets_a_role_and_existing_state_is_unchanged() {
    let mut ward = three();
    let mut model = oracle::model(&ward);
    let domain = ward.machine.domain();
    both(&mut ward, &mut model, 0, &enrol(&domain, 1, Role::Patient));
    both(&mut ward, &mut model, 1, &enrol(&domain, 2, Role::Clinician));
    let message = consent(1, person(2), 1, ward.now_ms);
    both(&mut ward, &mut model, 0, &grant(&domain, 1, message));
    let before = ward.machine.view();
    let contracts = before.contracts();
    let support = |base| Act::SupportRole { role: NURSE, name: name("nurse"), base };
    assert!(contracts.check_available(&support(Role::Clinician)).is_err());

    // The same folder under the build that has the registry.
    let mut ward = ward.reopened();
    admit_registry(&mut ward, &mut model);
    assert_eq!(ward.machine.view().organisations().unwrap(), before.organisations().unwrap());
    assert!(ward.machine.view().contracts().check_available(&support(Role::Clinician)).is_ok());

    let assign = Act::AssignRole { person: person(9), role: NURSE };
    let unknown = Outcome::Refused { reason: Refusal::RoleUnknown.to_string() };
    assert_eq!(ward.act(0, &assign), unknown, "not defined yet");
    both(&mut ward, &mut model, 0, &support(Role::Clinician));
    both(&mut ward, &mut model, 2, &support(Role::Clinician));
    both(&mut ward, &mut model, 0, &assign);
    assert_eq!(ward.machine.view().person(person(9)).unwrap(), None);
    both(&mut ward, &mut model, 0, &enrol(&domain, 9, Role::Clinician));

    let view = ward.machine.view();
    let nurse = view.person(person(9)).unwrap().unwrap();
    assert_eq!((nurse.role, nurse.role.code(), nurse.org), (Role::from_code(NURSE).unwrap(), NURSE, org(0)));
    assert_eq!(Some(nurse), model.person(person(9)));
    // The old people and the old consent stand as they stood.
    for number in [1, 2] {
        assert_eq!(view.person(person(number)).unwrap(), before.person(person(number)).unwrap());
        assert_eq!(view.person(person(number)).unwrap(), model.person(person(number)));
    }
    let old = grant_id(person(1), &[1; 32]);
    assert_eq!(view.grant(old).unwrap(), before.grant(old).unwrap());
    assert!(view.grant(old).unwrap().is_some_and(|grant| grant.revoked_at_ms == 0));
    // A consent can name the new person, and the old one can be withdrawn.
    let message = consent(1, person(9), 2, ward.now_ms);
    both(&mut ward, &mut model, 0, &grant(&domain, 1, message));
    let signature = Hand::of(1).sign(&domain.revocation_digest(old));
    both(&mut ward, &mut model, 1, &Act::RevokeGrant { grant: old, signature });

    let ward = ward.reopened();
    assert_eq!(ward.machine.view().person(person(9)).unwrap(), model.person(person(9)));
    assert_eq!(ward.machine.view().grant(old).unwrap(), model.grants.get(&old).cloned());
}

#[test]
fn a_role_counts_only_from_the_home_organisation_and_under_its_base() {
    let mut ward = three();
    let mut model = oracle::model(&ward);
    let domain = ward.machine.domain();
    admit_registry(&mut ward, &mut model);
    for number in [0, 1] {
        let support = Act::SupportRole { role: NURSE, name: name("nurse"), base: Role::Clinician };
        both(&mut ward, &mut model, number, &support);
    }
    both(&mut ward, &mut model, 1, &Act::AssignRole { person: person(1), role: NURSE });
    both(&mut ward, &mut model, 0, &enrol(&domain, 1, Role::Clinician));
    both(&mut ward, &mut model, 0, &Act::AssignRole { person: person(2), role: NURSE });
    both(&mut ward, &mut model, 0, &enrol(&domain, 2, Role::Family));
    let roles =
        |ward: &Ward| [1, 2].map(|one| ward.machine.view().person(person(one)).unwrap().unwrap().role);
    assert_eq!(roles(&ward), [Role::Clinician, Role::Family]);
    assert_eq!([1, 2].map(|one| model.person(person(one)).unwrap().role), roles(&ward));
    let late = ward.act(0, &Act::AssignRole { person: person(1), role: NURSE });
    assert_eq!(late, Outcome::Refused { reason: Refusal::PersonAlreadyEnrolled.to_string() });
    let direct = ward.act(0, &enrol(&domain, 3, Role::from_code(NURSE).unwrap()));
    assert_eq!(direct, Outcome::Refused { reason: Refusal::RoleUnknown.to_string() });
}

#[test]
fn a_contract_with_other_code_is_not_used_although_the_address_book_holds_it() {
    let mut ward = three();
    let mut model = oracle::model(&ward);
    // The registry of another directory.
    let mut foreign = ward.machine.contracts();
    foreign.directory = foreign.devices;
    let contract = deploy(&mut ward, 0, roles::creation(&foreign));
    both(&mut ward, &mut model, 0, &entry_for(contract));
    let proposal = ward.machine.view().proposals(1).unwrap()[0].id;
    both(&mut ward, &mut model, 1, &Act::Vote { proposal });
    assert!(ward.machine.view().organisation(roles::entry()).unwrap().is_some_and(|entry| entry.active));
    assert_eq!(ward.machine.view().contracts().roles, None);

    let mut ward = three();
    let mut model = oracle::model(&ward);
    let consents = ward.machine.contracts().consents.0.0;
    both(&mut ward, &mut model, 0, &entry_for(consents));
    let proposal = ward.machine.view().proposals(1).unwrap()[0].id;
    both(&mut ward, &mut model, 1, &Act::Vote { proposal });
    assert_eq!(ward.machine.view().contracts().roles, None);
}

#[derive(Debug, Clone)]
enum Step {
    Support { role: u8, named: u8, base: u8 },
    Assign { person: u8, role: u8 },
    Enrol { person: u8, role: u8 },
    Suspend { person: u8 },
    Seat { key: u8, org: u8 },
    Expel { org: u8 },
    Vote,
}

fn step() -> impl Strategy<Value = Step> {
    let role = || prop_oneof![4 => 6u8..9, 1 => 0u8..6];
    prop_oneof![
        6 => (role(), 0u8..3, prop_oneof![5 => 2u8..4, 1 => 0u8..8])
            .prop_map(|(role, named, base)| Step::Support { role, named, base }),
        5 => (1u8..6, role()).prop_map(|(person, role)| Step::Assign { person, role }),
        3 => (1u8..6, prop_oneof![5 => 2u8..4, 1 => 1u8..9])
            .prop_map(|(person, role)| Step::Enrol { person, role }),
        1 => (1u8..6).prop_map(|person| Step::Suspend { person }),
        1 => (6u8..9, 0u8..3).prop_map(|(key, org)| Step::Seat { key, org }),
        1 => (0u8..4).prop_map(|org| Step::Expel { org }),
        2 => Just(Step::Vote),
    ]
}

fn act_of(step: &Step, domain: &ConsentDomain, proposals: u64) -> Option<Act> {
    Some(match step {
        Step::Support { role, named, base } => {
            let name = if *named == 0 { [0; 32] } else { [*named; 32] };
            Act::SupportRole { role: *role, name, base: Role::from_code(*base)? }
        }
        Step::Assign { person: number, role } => Act::AssignRole { person: person(*number), role: *role },
        Step::Enrol { person: number, role } => enrol(domain, *number, Role::from_code(*role)?),
        Step::Suspend { person: number } => Act::Suspend { person: person(*number) },
        Step::Seat { key, org: number } => {
            Act::Propose(Motion::AddValidator { key: [*key; 32], org: org(*number), endpoint: String::new() })
        }
        // Beyond the organisations: the entry of the address book.
        Step::Expel { org: number } => {
            let org = if *number < 3 { org(*number) } else { roles::entry() };
            Act::Propose(Motion::RemoveOrganisation { org })
        }
        Step::Vote => Act::Vote { proposal: proposals },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn model_and_evm_agree_about_roles(steps in prop::collection::vec((0u8..3, step()), 1..60)) {
        let mut ward = three();
        let mut model = oracle::model(&ward);
        let domain = ward.machine.domain();
        admit_registry(&mut ward, &mut model);
        let registry = ward.machine.view().contracts().roles;
        for (number, step) in &steps {
            let sender = account::address_of(&secret(*number)).unwrap();
            let proposals = model.authorities.proposals.len() as u64;
            let Some(act) = act_of(step, &domain, proposals) else { continue };
            if ward.machine.view().sends_for(sender.into()).is_none() {
                continue;
            }
            let (height, time_ms) = (ward.machine.tip().height + 1, ward.now_ms + 1_001);
            let expected = model.apply(sender, &act, height, time_ms).err();
            let tx = ward.next(*number, &act);
            let executed = ward.block(&[tx]);
            let receipt = &executed.receipts[0];
            let refusal = crate::contracts::refusal(&receipt.revert);
            prop_assert_eq!(receipt.succeeded, expected.is_none(), "{:?}: {:?}", &step, refusal);
            prop_assert_eq!(refusal, expected, "{:?}", step);
        }
        let ward = ward.reopened();
        let view = ward.machine.view();
        prop_assert_eq!(view.contracts().roles, registry, "a removed entry stays readable");
        for number in 1..6 {
            prop_assert_eq!(view.person(person(number)).unwrap(), model.person(person(number)));
        }
    }
}
