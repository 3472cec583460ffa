use super::*;
use alloc::string::ToString;
use proptest::prelude::*;

proptest! {
    #[test]
    fn ids_read_as_they_print(bytes in any::<[u8; 16]>()) {
        let id = DeviceId(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_no_ids(text in "[0-9a-fA-Fxg ]{0,40}") {
        if let Ok(id) = text.parse::<DeviceId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}

#[test]
fn upper_case_and_multibyte_texts_are_refused() {
    assert!("AB".repeat(16).parse::<DeviceId>().is_err());
    assert!("é".repeat(16).parse::<DeviceId>().is_err());
    assert_eq!("00".parse::<Genesis>().unwrap_err().to_string(), "expected 64 lower-case hex digits");
}

#[test]
fn an_organisation_stands_for_itself_as_grantee() {
    let org = OrgId([3; 16]);
    assert!(PersonId::of_organisation(org).is_organisation());
    assert!(!PersonId([3; 32]).is_organisation());
}

#[test]
fn every_part_of_a_stream_names_it() {
    let id = |g, a, p, class| StreamId::of(Genesis([g; 32]), DeviceId([a; 16]), PatientId([p; 16]), class);
    let one = id(0, 0, 0, Class::Vitals);
    for other in [id(1, 0, 0, Class::Vitals), id(0, 1, 0, Class::Vitals), id(0, 0, 1, Class::Vitals)] {
        assert_ne!(one, other);
    }
    assert_ne!(one, id(0, 0, 0, Class::Alarms));
}

#[test]
fn codes_and_classes_agree() {
    for class in Class::ALL {
        assert_eq!(Class::from_code(class.code()), Some(class));
    }
    assert_eq!(Class::from_code(0), None);
    assert_eq!(Class::from_code(8), None);
}
