/**
 * Payload decoder for the FS-220, payload format 3 (firmware 4.0.0 and later).
 *
 * Byte 0      format, always 3
 * Byte 1      flags: bit 0 HEATER_ON, bit 1 STALE, bit 2 LOW_BATTERY, bit 7 ECHO_LOST (E-4417)
 * Bytes 2-3   distance to the water in mm, unsigned, big endian
 * Byte 4      echo quality in dB
 * Byte 5      battery in steps of 0.05 V above 8 V
 * Bytes 6-7   temperature in 0.01 degrees Celsius, signed, big endian
 */
const FLAGS = { HEATER_ON: 0x01, STALE: 0x02, LOW_BATTERY: 0x04, ECHO_LOST: 0x80 };

function decodeUplink(input) {
  const bytes = input.bytes;
  if (bytes.length !== 8 || bytes[0] !== 3) {
    return { errors: [`expected 8 bytes of format 3, got ${bytes.length} bytes of format ${bytes[0]}`] };
  }
  const signed = (value) => (value > 0x7fff ? value - 0x10000 : value);
  const data = {
    distance_mm: (bytes[2] << 8) | bytes[3],
    echo_db: bytes[4],
    battery_v: 8 + bytes[5] * 0.05,
    temperature_c: signed((bytes[6] << 8) | bytes[7]) / 100,
  };
  const raised = Object.keys(FLAGS).filter((name) => bytes[1] & FLAGS[name]);
  const warnings = raised.includes("ECHO_LOST") ? ["E-4417: echo lost, distance is the last good value"] : [];
  return { data: { ...data, flags: raised }, warnings };
}

module.exports = { decodeUplink };
