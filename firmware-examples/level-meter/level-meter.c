/* The level of a tank whose probe sometimes jumps: publishes a frame on `level` at each
 * tick, 20 bytes little-endian: a count (u64), the median of the last five samples
 * (f64), and the CRC-32 of those sixteen bytes (u32).
 *
 * Median and CRC are Rust, of `signal`: the import's module name is the link name. */
#include "farrier.h"

#define SIGNAL_IMPORT(name) \
    __attribute__((import_module("signal"), import_name(#name)))

SIGNAL_IMPORT(median)
double median(const double *samples, uint32_t count);

SIGNAL_IMPORT(crc32)
uint32_t crc32(const void *bytes, uint32_t count);

#define WINDOW 5

struct frame {
    uint64_t count;
    double level;
    uint32_t crc;
};

static int32_t probe;
static double samples[WINDOW];
static struct frame frame;

FARRIER_EXPORT(init)
int init(void) {
    probe = FARRIER_SENSOR_OPEN("probe");
    if (probe < 0) {
        FARRIER_LOG(FARRIER_ERROR, "the sensor probe is not granted");
        return 1;
    }
    return 0;
}

FARRIER_EXPORT(tick)
int tick(void) {
    double sample;
    if (farrier_sensor_read(probe, &sample) < 0)
        return 2;
    samples[frame.count % WINDOW] = sample;
    frame.count += 1;
    uint32_t seen = frame.count < WINDOW ? (uint32_t)frame.count : WINDOW;
    frame.level = median(samples, seen);
    frame.crc = crc32(&frame, 16);
    return FARRIER_PUBLISH("level", &frame, 20) < 0 ? 3 : 0;
}
