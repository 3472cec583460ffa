//! The rules of the contract `Devices`.

use super::{LedgerModel, Refusal, refuse_if};
use vitals::ids::{DeviceId, OrgId};
use vitals::ledger::{Device, DeviceKind, Revocation, RevokeReason};

impl LedgerModel {
    pub(super) fn register(&mut self, device: Device) -> Result<(), Refusal> {
        let id = DeviceId::of(&device.key);
        refuse_if(self.devices.contains_key(&id), Refusal::DeviceAlreadyRegistered)?;
        if device.kind == DeviceKind::Gateway {
            let plain = device.via == id && device.binding == [0; 32];
            refuse_if(!plain, Refusal::GatewayNotPlain)?;
        } else {
            let live = self.devices.get(&device.via).is_some_and(|gateway| {
                gateway.kind == DeviceKind::Gateway && gateway.org == device.org && gateway.revoked.is_none()
            });
            refuse_if(!live, Refusal::ViaNotALiveGateway)?;
            refuse_if(device.binding == [0; 32], Refusal::BindingMissing)?;
        }
        self.devices.insert(id, device);
        Ok(())
    }

    pub(super) fn revoke(
        &mut self,
        org: OrgId,
        id: DeviceId,
        reason: RevokeReason,
        last_trusted_seq: u64,
        at_ms: u64,
    ) -> Result<(), Refusal> {
        let device = self.devices.get_mut(&id).ok_or(Refusal::DeviceUnknown)?;
        refuse_if(device.org != org, Refusal::NotTheHomeOrganisation)?;
        refuse_if(device.revoked.is_some(), Refusal::DeviceAlreadyRevoked)?;
        device.revoked = Some(Revocation { at_ms, reason, last_trusted_seq });
        Ok(())
    }
}
