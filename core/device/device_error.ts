/** What a device cannot do, or can do no more. */

/** The device is lost, closed after a fault or out of memory, or it refused a command. */
export class DeviceError extends Error {
  /** The kind of error. */
  override name = "DeviceError";
}
