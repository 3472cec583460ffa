//! Accounts of people: who may sign in, and the signing key the vault keeps for them.

use crate::error::VaultError;
use crate::sealed_tables::{Put, Table, Tables};
use crate::secret::{Cost, Secret32};
use crate::vault::Vault;
use crate::vault::account_events::{AccountEvent, Made};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use std::collections::HashMap;
use subtle::ConstantTimeEq;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::{Hash, PersonId};
use vitals::ledger::Role;
use zeroize::Zeroizing;

/// Longest login or name, bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest password, bytes of UTF-8.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Fewest characters of a new password (NIST SP 800-63B, 5.1.1). What was given before the rule stays good.
pub const PASSWORD_CHARS_MIN: usize = 8;
const VERSION: u64 = 1;

/// A person who may sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// What is typed to sign in.
    pub login: String,
    /// What is shown.
    pub name: String,
    /// What the person may do here.
    pub role: Role,
    /// Who it is on the ledger.
    pub person: PersonId,
    /// P-256 public key (x ‖ y) of the signing key the vault keeps.
    pub public_key: [u8; 64],
}

/// Names stay out of logs.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("person", &self.person)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// An account to be made.
#[derive(Clone, Copy)]
pub struct NewAccount<'a> {
    /// What is typed to sign in.
    pub login: &'a str,
    /// What is shown.
    pub name: &'a str,
    /// What the person may do here.
    pub role: Role,
    /// Who it is on the ledger.
    pub person: PersonId,
    /// What proves it.
    pub password: &'a str,
    /// Who makes the account, and when.
    pub made: Made,
}

impl std::fmt::Debug for NewAccount<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount")
            .field("person", &self.person)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
pub(crate) struct AccountBook {
    by_person: HashMap<PersonId, Account>,
    by_login: HashMap<String, PersonId>,
}

impl AccountBook {
    pub(crate) fn load(tables: &Tables) -> Result<Self, VaultError> {
        let mut book = Self::default();
        for row in tables.all(Table::Accounts)? {
            book.add(
                Account::read(&row).map_err(|_| VaultError::Damaged("an account is not readable".into()))?,
            );
        }
        Ok(book)
    }

    pub(crate) fn add(&mut self, account: Account) {
        self.by_login.insert(account.login.clone(), account.person);
        self.by_person.insert(account.person, account);
    }
}

impl Account {
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.array(6).uint(VERSION).text(&self.login).text(&self.name).uint(self.role.code().into());
        w.bytes(&self.person.0).bytes(&self.public_key);
        Zeroizing::new(w.finish())
    }

    fn read(row: &[u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(row);
        r.array(6)?;
        r.exactly(VERSION)?;
        let account = Self {
            login: r.text(NAME_BYTES_MAX)?.into(),
            name: r.text(NAME_BYTES_MAX)?.into(),
            role: Role::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?,
            person: PersonId(r.fixed()?),
            public_key: r.fixed()?,
        };
        r.end()?;
        Ok(account)
    }
}

/// Salt, cost and hash of the password, as kept.
pub(crate) struct PasswordRow {
    cost: Cost,
    salt: [u8; 16],
    password_hash: Secret32,
}

/// The rule for a new password, whoever gives it: [`PASSWORD_CHARS_MIN`] characters at least, not one character over
/// and over, [`PASSWORD_BYTES_MAX`] bytes at most.
///
/// # Errors
/// [`VaultError::Unfit`], with the rule that it breaks.
fn check_password(password: &str) -> Result<(), VaultError> {
    let mut characters = password.chars();
    let first = characters.next();
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(VaultError::Unfit("the password is shorter than 8 characters"));
    }
    if characters.all(|one| Some(one) == first) {
        return Err(VaultError::Unfit("the password is one character over and over"));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(VaultError::Unfit("the password is longer than 1024 bytes"));
    }
    Ok(())
}

impl PasswordRow {
    pub(crate) fn make(vault: &Vault, password: &str) -> Result<Self, VaultError> {
        check_password(password)?;
        let (cost, salt) = (vault.costs.password, vault.random());
        let password_hash = cost
            .derive_key(password.as_bytes(), &salt)
            .ok_or(VaultError::Unfit("the cost of passwords is out of bounds"))?;
        Ok(Self { cost, salt, password_hash })
    }

    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.array(5).uint(VERSION).uint(u64::from(self.cost.memory_kib)).uint(u64::from(self.cost.passes));
        w.bytes(&self.salt).bytes(self.password_hash.expose());
        Zeroizing::new(w.finish())
    }

    fn read(row: &[u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(row);
        r.array(5)?;
        r.exactly(VERSION)?;
        let row = Self {
            cost: Cost { memory_kib: r.u32()?, passes: r.u32()? },
            salt: r.fixed()?,
            password_hash: Secret32::new(r.fixed()?),
        };
        r.end()?;
        Ok(row)
    }

    fn fits(&self, password: &str) -> bool {
        let password_hash = self.cost.derive_key(password.as_bytes(), &self.salt);
        password_hash
            .is_some_and(|password_hash| password_hash.expose().ct_eq(self.password_hash.expose()).into())
    }
}

/// An account that is to be written, with everything that belongs to it.
pub(crate) struct AccountRows {
    pub(crate) account: Account,
    row: Zeroizing<Vec<u8>>,
    password: Zeroizing<Vec<u8>>,
    scalar: Zeroizing<[u8; 32]>,
}

impl AccountRows {
    pub(crate) fn puts(&self) -> [Put<'_>; 3] {
        let id = &self.account.person.0;
        [
            (Table::Accounts, id, &self.row),
            (Table::Passwords, id, &self.password),
            (Table::Signers, id, self.scalar.as_slice()),
        ]
    }
}

impl Vault {
    /// The rows of a new account, with the person's P-256 signing key. Hashes the password: takes its time.
    pub(crate) fn account_rows(&self, new: &NewAccount<'_>) -> Result<AccountRows, VaultError> {
        let unfit = |text: &str| text.is_empty() || text.len() > NAME_BYTES_MAX;
        if unfit(new.login) || unfit(new.name) {
            return Err(VaultError::Unfit("the login or the name is empty or over its bound"));
        }
        let password = PasswordRow::make(self, new.password)?;
        let signer = loop {
            // Fewer than one in 2^32 random strings is not a scalar of P-256.
            if let Ok(signer) = SigningKey::from_slice(Secret32::random(&self.entropy).expose()) {
                break signer;
            }
        };
        let account = Account {
            login: new.login.into(),
            name: new.name.into(),
            role: new.role,
            person: new.person,
            public_key: public_key(&signer),
        };
        let (row, scalar) = (account.encode(), Zeroizing::new(<[u8; 32]>::from(signer.to_bytes())));
        Ok(AccountRows { account, row, password: password.encode(), scalar })
    }

    /// Are login and person free? Call it under `changing`.
    pub(crate) fn account_is_free(&self, login: &str, person: PersonId) -> Result<(), VaultError> {
        let books = self.books();
        if books.people.by_login.contains_key(login) {
            return Err(VaultError::LoginTaken);
        }
        if books.people.by_person.contains_key(&person) {
            return Err(VaultError::PersonTaken);
        }
        Ok(())
    }

    /// Makes an account and the person's P-256 signing key.
    ///
    /// # Errors
    /// [`VaultError::LoginTaken`], [`VaultError::PersonTaken`], [`VaultError::Unfit`].
    pub fn put_account(&self, new: NewAccount<'_>) -> Result<Account, VaultError> {
        let rows = self.account_rows(&new)?;
        let _changing = self.changing();
        self.account_is_free(new.login, new.person)?;
        if self.invitation_of(new.person).is_some() {
            return Err(VaultError::PersonTaken);
        }
        let event = self.event(new.person, AccountEvent::Registered, "", new.made, |_| {});
        self.tables.put(&[rows.puts().as_slice(), event.puts().as_slice()].concat())?;
        let mut books = self.books_mut();
        books.standings.keep(event);
        books.people.add(rows.account.clone());
        Ok(rows.account)
    }

    /// The account with this login.
    #[must_use]
    pub fn account(&self, login: &str) -> Option<Account> {
        let books = self.books();
        books.people.by_person.get(books.people.by_login.get(login)?).cloned()
    }

    /// The account of this person.
    #[must_use]
    pub fn account_of(&self, person: PersonId) -> Option<Account> {
        self.books().people.by_person.get(&person).cloned()
    }

    /// How many accounts there are.
    #[must_use]
    pub fn accounts_len(&self) -> usize {
        self.books().people.by_person.len()
    }

    /// All accounts, by login.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        let mut accounts: Vec<_> = self.books().people.by_person.values().cloned().collect();
        accounts.sort_by(|a, b| a.login.cmp(&b.login));
        accounts
    }

    /// The account, if the password is its own. Takes the same time for a login that does not exist.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] or [`VaultError::Database`].
    pub fn verify_password(&self, login: &str, password: &str) -> Result<Option<Account>, VaultError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(None);
        }
        let Some(account) = self.account(login) else {
            let _ = self.costs.password.derive_key(password.as_bytes(), &[0; 16]);
            return Ok(None);
        };
        let damaged = || VaultError::Damaged("a password is not readable".into());
        let row = self.tables.get(Table::Passwords, &account.person.0)?.ok_or_else(damaged)?;
        let row = PasswordRow::read(&row).map_err(|_| damaged())?;
        Ok(row.fits(password).then_some(account))
    }

    /// Replaces a person's password.
    ///
    /// # Errors
    /// [`VaultError::NoSigner`] if the person has no account, [`VaultError::Unfit`].
    pub fn set_password(&self, person: PersonId, password: &str) -> Result<(), VaultError> {
        let row = PasswordRow::make(self, password)?;
        let _changing = self.changing();
        if self.account_of(person).is_none() {
            return Err(VaultError::NoSigner);
        }
        self.tables.put(&[(Table::Passwords, &person.0, &row.encode())])
    }

    /// Signs a digest with the key the vault keeps for a person: r ‖ s, low s, deterministic.
    ///
    /// # Errors
    /// [`VaultError::NoSigner`] if the vault keeps none.
    pub fn sign_as(&self, person: PersonId, digest: &Hash) -> Result<[u8; 64], VaultError> {
        let damaged = || VaultError::Damaged("a signing key is not readable".into());
        let scalar = self.tables.get(Table::Signers, &person.0)?.ok_or(VaultError::NoSigner)?;
        let signer = SigningKey::from_slice(&scalar).map_err(|_| damaged())?;
        let signature: Signature = signer.sign_prehash(digest).map_err(|_| damaged())?;
        Ok(signature.normalize_s().to_bytes().into())
    }
}

fn public_key(signer: &SigningKey) -> [u8; 64] {
    let point = signer.verifying_key().to_sec1_point(false);
    let mut out = [0; 64];
    out.copy_from_slice(&point.as_bytes()[1..]);
    out
}
