// What is unusual: reads the sensor `vibration` and publishes a sample that lies more
// than four standard deviations from the mean of all before it.
//
// Mean and variance are running ones by Welford's method. A message on `anomaly` is 16
// bytes: the sample, then its distance from the mean in standard deviations, both as
// little-endian f64. An unusual sample does not change what is usual.

@external("farrier", "sensor_open")
declare function farrier_sensor_open(name: usize, len: i32): i32;
@external("farrier", "sensor_read")
declare function farrier_sensor_read(sensor: i32, sample: usize): i32;
@external("farrier", "publish")
declare function farrier_publish(channel: usize, channel_len: i32, payload: usize, len: i32): i32;

const LIMIT: f64 = 4.0;
const WARM_UP: u64 = 16;

// Names as bytes in memory: strings here are UTF-16.
const SENSOR = memory.data<u8>([118, 105, 98, 114, 97, 116, 105, 111, 110]); // vibration
const CHANNEL = memory.data<u8>([97, 110, 111, 109, 97, 108, 121]); // anomaly
const SAMPLE = memory.data(8, 8);
const RECORD = memory.data(16, 8);

let sensor: i32 = -1;
let count: u64 = 0;
let mean: f64 = 0;
let squares: f64 = 0;

export function init(): i32 {
  sensor = farrier_sensor_open(SENSOR, 9);
  return sensor < 0 ? 1 : 0;
}

export function tick(): i32 {
  if (farrier_sensor_read(sensor, SAMPLE) < 0) return 2;
  const sample = load<f64>(SAMPLE);
  if (count >= WARM_UP) {
    const deviation = sqrt(squares / <f64>count);
    const distance = (sample - mean) / deviation;
    if (abs(distance) > LIMIT) {
      store<f64>(RECORD, sample);
      store<f64>(RECORD, distance, 8);
      return farrier_publish(CHANNEL, 7, RECORD, 16) < 0 ? 3 : 0;
    }
  }
  count += 1;
  const delta = sample - mean;
  mean += delta / <f64>count;
  squares += delta * (sample - mean);
  return 0;
}
