// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {nowMs} from "./Clock.sol";
import {Directory} from "./Directory.sol";

/// @title The registry of signing devices: sensors and gateways.
/// @dev Immutable, without owner. Storage (see docs/wire.md): slot 0 devices.
contract Devices {
    /// Authors readings about one patient.
    uint8 public constant SENSOR = 1;
    /// Carries the envelopes of the sensors registered through it.
    uint8 public constant GATEWAY = 2;
    /// Taken out of service.
    uint8 public constant RETIRED = 1;
    /// Lost or stolen.
    uint8 public constant STOLEN = 2;

    struct Device {
        /// Ed25519 public key.
        bytes32 key;
        /// X25519 public key, to which stream keys are wrapped.
        bytes32 wrapKey;
        /// Salted commitment to the patient; zero for a gateway.
        bytes32 binding;
        /// The gateway it is reached through; itself for a gateway.
        bytes16 via;
        /// Home organisation.
        bytes16 org;
        /// Milliseconds; zero while the device does not exist.
        uint64 since;
        /// SENSOR or GATEWAY.
        uint8 kind;
        /// Milliseconds; zero while trusted.
        uint64 revokedAt;
        /// RETIRED or STOLEN once revoked.
        uint8 reason;
        /// Last sequence number trusted in each of its streams, once revoked.
        uint64 lastTrustedSeq;
    }

    /// Who exists.
    Directory public immutable directory;
    /// Devices by id, the first 16 bytes of SHA-256 of the key.
    mapping(bytes16 id => Device) public devices;

    event DeviceRegistered(bytes16 indexed id, bytes16 indexed org, bytes16 indexed via, uint8 kind);
    event DeviceRevoked(bytes16 indexed id, bytes16 indexed org, uint8 reason, uint64 lastTrustedSeq);

    /// The kind is neither sensor nor gateway.
    error KindUnknown(uint8 kind);
    /// A key is registered once, for ever.
    error DeviceAlreadyRegistered(bytes16 id);
    /// A gateway is reached through itself and bound to nobody.
    error GatewayNotPlain(bytes16 id);
    /// The sensor's gateway is not registered, not live, no gateway, or another organisation's.
    error ViaNotALiveGateway(bytes16 via);
    /// A sensor is bound to a patient.
    error BindingMissing(bytes16 id);
    /// No device has this id.
    error DeviceUnknown(bytes16 id);
    /// Only the home organisation decides about its devices.
    error NotTheHomeOrganisation(bytes16 home);
    /// Trust ends once.
    error DeviceAlreadyRevoked(bytes16 id);
    /// The reason is neither retired nor stolen.
    error ReasonUnknown(uint8 reason);

    constructor(Directory directory_) {
        directory = directory_;
    }

    /// @notice Registers a device of the organisation that sends. The id is derived from the key.
    /// @param kind SENSOR or GATEWAY.
    /// @param key Ed25519 public key.
    /// @param wrapKey X25519 public key.
    /// @param via A live gateway of the same organisation; the device itself for a gateway.
    /// @param binding Salted commitment to the patient; zero for a gateway.
    function register(uint8 kind, bytes32 key, bytes32 wrapKey, bytes16 via, bytes32 binding)
        external
        returns (bytes16 id)
    {
        bytes16 org = directory.requireOrganisation(msg.sender);
        id = bytes16(sha256(abi.encodePacked(key)));
        if (kind != SENSOR && kind != GATEWAY) revert KindUnknown(kind);
        if (devices[id].since != 0) revert DeviceAlreadyRegistered(id);
        if (kind == GATEWAY) {
            if (via != id || binding != 0) revert GatewayNotPlain(id);
        } else {
            Device storage gateway = devices[via];
            if (gateway.kind != GATEWAY || gateway.org != org || gateway.revokedAt != 0) {
                revert ViaNotALiveGateway(via);
            }
            if (binding == 0) revert BindingMissing(id);
        }
        devices[id] = Device(key, wrapKey, binding, via, org, nowMs(), kind, 0, 0, 0);
        emit DeviceRegistered(id, org, via, kind);
    }

    /// @notice Ends the trust in a device of the organisation that sends.
    /// @param id Which.
    /// @param reason RETIRED or STOLEN.
    /// @param lastTrustedSeq Last sequence number trusted in each of its streams.
    function revoke(bytes16 id, uint8 reason, uint64 lastTrustedSeq) external {
        bytes16 org = directory.requireOrganisation(msg.sender);
        Device storage device = devices[id];
        if (device.since == 0) revert DeviceUnknown(id);
        if (device.org != org) revert NotTheHomeOrganisation(device.org);
        if (reason != RETIRED && reason != STOLEN) revert ReasonUnknown(reason);
        if (device.revokedAt != 0) revert DeviceAlreadyRevoked(id);
        device.revokedAt = nowMs();
        device.reason = reason;
        device.lastTrustedSeq = lastTrustedSeq;
        emit DeviceRevoked(id, org, reason, lastTrustedSeq);
    }
}
