// Publishes by how much the temperature has changed.

@external("farrier", "sensor_open")
declare function farrier_sensor_open(name: usize, len: i32): i32;
@external("farrier", "sensor_read")
declare function farrier_sensor_read(sensor: i32, sample: usize): i32;
@external("farrier", "publish")
declare function farrier_publish(channel: usize, channel_len: i32, payload: usize, len: i32): i32;

// Names as bytes in memory: strings here are UTF-16.
const SENSOR = memory.data<u8>([116, 101, 109, 112, 101, 114, 97, 116, 117, 114, 101]); // temperature
const CHANNEL = memory.data<u8>([99, 104, 97, 110, 103, 101]); // change
const SAMPLE = memory.data(8, 8);
const CHANGE = memory.data(8, 8);

let sensor: i32 = -1;
let before: f64 = NaN;

// Called once. What it returns is 0 for good, or your own number for what went wrong.
export function init(): i32 {
  sensor = farrier_sensor_open(SENSOR, 11);
  return sensor < 0 ? 1 : 0;
}

// Called at the interval of the deployment.
export function tick(): i32 {
  if (farrier_sensor_read(sensor, SAMPLE) < 0) return 2;
  const sample = load<f64>(SAMPLE);
  const change = sample - before;
  before = sample;
  // The first one has nothing to compare with: not a number.
  if (isNaN(change) || change == 0) return 0;
  store<f64>(CHANGE, change);
  return farrier_publish(CHANNEL, 6, CHANGE, 8) < 0 ? 3 : 0;
}
