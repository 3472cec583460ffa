//! A contract's revert data as a refusal of the model, and as text.

use super::bindings::{Anchors, Authorities, Consents, Devices, Directory, Policies, Roles, TwoClinicians};
use alloy_sol_types::SolError;
use vitals::refusal::Refusal;

/// The refusal that a contract's revert data encodes.
#[must_use]
pub fn refusal(revert: &[u8]) -> Option<Refusal> {
    let selector: [u8; 4] = revert.first_chunk().copied()?;
    Some(match selector {
        Directory::SenderNotAnOrganisation::SELECTOR => Refusal::SenderNotAnOrganisation,
        Directory::PersonIdReserved::SELECTOR => Refusal::PersonIdReserved,
        Directory::PersonAlreadyEnrolled::SELECTOR => Refusal::PersonAlreadyEnrolled,
        Directory::SignerLengthWrong::SELECTOR => Refusal::SignerLengthWrong,
        // Directory and Devices use the same name.
        Directory::NotTheHomeOrganisation::SELECTOR => Refusal::NotTheHomeOrganisation,
        Devices::DeviceAlreadyRegistered::SELECTOR => Refusal::DeviceAlreadyRegistered,
        Devices::GatewayNotPlain::SELECTOR => Refusal::GatewayNotPlain,
        Devices::ViaNotALiveGateway::SELECTOR => Refusal::ViaNotALiveGateway,
        Devices::BindingMissing::SELECTOR => Refusal::BindingMissing,
        Devices::DeviceUnknown::SELECTOR => Refusal::DeviceUnknown,
        Devices::DeviceAlreadyRevoked::SELECTOR => Refusal::DeviceAlreadyRevoked,
        Consents::DeadlinePassed::SELECTOR => Refusal::DeadlinePassed,
        Consents::WindowEmpty::SELECTOR => Refusal::WindowEmpty,
        Consents::NonceUsed::SELECTOR => Refusal::NonceUsed,
        Consents::PatientUnknown::SELECTOR => Refusal::PatientUnknown,
        Consents::GranteeUnknown::SELECTOR => Refusal::GranteeUnknown,
        Consents::SignatureWrong::SELECTOR => Refusal::SignatureWrong,
        Consents::GrantUnknown::SELECTOR => Refusal::GrantUnknown,
        Consents::GrantAlreadyRevoked::SELECTOR => Refusal::GrantAlreadyRevoked,
        Anchors::LogEmpty::SELECTOR => Refusal::LogEmpty,
        Anchors::LogShrunk::SELECTOR => Refusal::LogShrunk,
        Anchors::LogForked::SELECTOR => Refusal::LogForked,
        Anchors::ConsistencyWrong::SELECTOR => Refusal::ConsistencyWrong,
        Directory::OrganisationKnown::SELECTOR => Refusal::OrganisationKnown,
        Directory::OrganisationUnknown::SELECTOR => Refusal::OrganisationUnknown,
        Directory::DirectoryFull::SELECTOR => Refusal::DirectoryFull,
        Authorities::NotSeated::SELECTOR => Refusal::NotSeated,
        Authorities::ValidatorKeyMissing::SELECTOR => Refusal::ValidatorKeyMissing,
        Authorities::ValidatorKnown::SELECTOR => Refusal::ValidatorKnown,
        Authorities::ValidatorUnknown::SELECTOR => Refusal::ValidatorUnknown,
        Authorities::NotTheOperator::SELECTOR => Refusal::NotTheOperator,
        Authorities::CommitteeFull::SELECTOR => Refusal::CommitteeFull,
        Authorities::LastValidator::SELECTOR => Refusal::LastValidator,
        Authorities::EndpointWrong::SELECTOR => Refusal::EndpointWrong,
        Authorities::ProposalsOpen::SELECTOR => Refusal::ProposalsOpen,
        Authorities::ProposalUnknown::SELECTOR => Refusal::ProposalUnknown,
        Authorities::ProposalAccepted::SELECTOR => Refusal::ProposalAccepted,
        Authorities::ProposalExpired::SELECTOR => Refusal::ProposalExpired,
        Authorities::VoteRepeated::SELECTOR => Refusal::VoteRepeated,
        Authorities::VotesMissing::SELECTOR => Refusal::VotesMissing,
        Directory::PersonUnknown::SELECTOR => Refusal::PersonUnknown,
        Policies::PolicyNameMissing::SELECTOR => Refusal::PolicyNameMissing,
        Policies::PolicyWithoutCode::SELECTOR => Refusal::PolicyWithoutCode,
        Policies::PolicyKnown::SELECTOR => Refusal::PolicyKnown,
        Policies::PoliciesFull::SELECTOR => Refusal::PoliciesFull,
        // Policies and Consents use the same name.
        Policies::PolicyUnknown::SELECTOR => Refusal::PolicyUnknown,
        Consents::GlassWindowWrong::SELECTOR => Refusal::GlassWindowWrong,
        Consents::ReasonMissing::SELECTOR => Refusal::ReasonMissing,
        Consents::GlassRepeated::SELECTOR => Refusal::GlassRepeated,
        Consents::NotAPatient::SELECTOR => Refusal::NotAPatient,
        Consents::ClinicianUnknown::SELECTOR => Refusal::ClinicianUnknown,
        Consents::RoleTooYoung::SELECTOR => Refusal::RoleTooYoung,
        Consents::SecondClinicianWrong::SELECTOR => Refusal::SecondClinicianWrong,
        Consents::GlassQuotaUsed::SELECTOR => Refusal::GlassQuotaUsed,
        Consents::EntryUnknown::SELECTOR => Refusal::EntryUnknown,
        Consents::EntryReviewed::SELECTOR => Refusal::EntryReviewed,
        Consents::AuditorUnknown::SELECTOR => Refusal::AuditorUnknown,
        Roles::RoleReserved::SELECTOR => Refusal::RoleReserved,
        Roles::BaseUnknown::SELECTOR => Refusal::BaseUnknown,
        Roles::RoleNameMissing::SELECTOR => Refusal::RoleNameMissing,
        Roles::RoleKnown::SELECTOR => Refusal::RoleKnown,
        // Directory and Roles use the same name.
        Roles::RoleUnknown::SELECTOR => Refusal::RoleUnknown,
        Roles::RoleAlreadyAssigned::SELECTOR => Refusal::RoleAlreadyAssigned,
        _ => return None,
    })
}

/// A contract's revert data as text.
#[must_use]
pub fn reason(revert: &[u8]) -> String {
    if let Some(refusal) = refusal(revert) {
        return refusal.to_string();
    }
    let words = match revert.first_chunk().copied() {
        None => "the contract gave no reason (out of gas, or a failed check inside)",
        Some(Devices::KindUnknown::SELECTOR) => "a device is a sensor or a gateway",
        Some(Devices::ReasonUnknown::SELECTOR) => "a device is retired or stolen",
        Some(Anchors::NotTheOrganisation::SELECTOR) => "only the organisation anchors its own log",
        Some(Directory::NotTheAuthorities::SELECTOR) => "only the votes of the authorities decide who exists",
        Some(Consents::VerdictUnknown::SELECTOR) => "an access without consent is justified or not",
        Some(TwoClinicians::AgreementWindowWrong::SELECTOR) => {
            "an agreement lasts at most a day, and longer than the one it replaces"
        }
        Some(Authorities::EpochEmpty::SELECTOR) => "an epoch has at least one block",
        Some(_) => "the contract refused without a reason we know",
    };
    words.to_string()
}
