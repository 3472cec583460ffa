//! What people are: one entry per role, with its code and its words.

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $code:literal { word: $word:literal, phrase: $phrase:literal })*) => {
        /// What a person is on the ledger. A role that this build is to know by name is one entry in this list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Role {
            $($(#[$doc])* $name,)*
            /// A role that was defined on the ledger after its founding and has no entry here, by its code, up to
            /// 255. What does not name it allows it nothing.
            Other(u8),
        }

        impl Role {
            /// All roles with an entry, in code order.
            pub const NAMED: &'static [Self] = &[$(Self::$name),*];

            /// The wire code: 1 to [`Self::FOUNDING_MAX`] for the roles of every ledger.
            #[must_use]
            pub fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// The role with this wire code; zero is none.
            #[must_use]
            pub fn from_code(code: u8) -> Option<Self> {
                match code {
                    0 => None,
                    $($code => Some(Self::$name),)*
                    code => Some(Self::Other(code)),
                }
            }

            /// What pages and messages call it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Other(_) => "other role",
                }
            }

            /// Somebody of this role, inside a sentence: `a patient`.
            #[must_use]
            pub fn phrase(self) -> &'static str {
                match self {
                    $(Self::$name => $phrase,)*
                    Self::Other(_) => "a person with another role",
                }
            }
        }
    };
}

roles! {
    /// Holds the consents of their own record.
    Patient = 1 { word: "patient", phrase: "a patient" }
    /// Treats patients.
    Clinician = 2 { word: "clinician", phrase: "a clinician" }
    /// Runs accounts, devices and policies.
    Administrator = 3 { word: "administrator", phrase: "an administrator" }
    /// Follows a relative.
    Family = 4 { word: "family", phrase: "a relative" }
    /// Verifies, opens nothing.
    Auditor = 5 { word: "auditor", phrase: "an auditor" }
}

impl Role {
    /// The last code of the roles that every ledger has from its founding. Those beyond it are defined by vote
    /// (contract `Roles`).
    pub const FOUNDING_MAX: u8 = 5;

    /// Does every ledger have this role from its founding?
    #[must_use]
    pub fn is_founding(self) -> bool {
        self.code() <= Self::FOUNDING_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_but_zero_is_a_role_and_leads_back() {
        assert_eq!(Role::from_code(0), None);
        for code in 1..=u8::MAX {
            assert_eq!(Role::from_code(code).map(Role::code), Some(code));
        }
    }

    #[test]
    fn named_roles_are_no_other_roles_and_have_words_of_their_own() {
        for (at, role) in Role::NAMED.iter().enumerate() {
            assert_eq!(Role::from_code(role.code()), Some(*role));
            let before = &Role::NAMED[..at];
            assert!(
                before.iter().all(|one| one.code() < role.code() && one.word() != role.word()),
                "{role:?}"
            );
            assert!(role.phrase().contains(' ') && role.phrase() != Role::Other(9).phrase(), "{role:?}");
        }
        let founding = Role::NAMED.iter().filter(|role| role.is_founding()).count();
        assert_eq!(founding, usize::from(Role::FOUNDING_MAX));
    }
}
