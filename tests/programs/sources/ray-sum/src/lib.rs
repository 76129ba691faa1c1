//! Floats whose every bit is seen: planets that fall around each other, and a small
//! picture of spheres. Both end in a hash of all results, with the bits of NaNs made
//! equal, so that only a wrong number can change it.

struct Body {
    place: [f64; 3],
    speed: [f64; 3],
    mass: f64,
}

fn add(hash: u64, bits: u64) -> u64 {
    (hash ^ bits).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
}

/// The hash of all places after this many steps, by the semi-implicit Euler method.
#[unsafe(no_mangle)]
pub extern "C" fn fall(steps: u32) -> u64 {
    let body = |index: u32| {
        let angle = f64::from(index);
        let place = [1.0 + angle * 1.5, angle.sqrt() * 0.25, 0.125 * angle];
        Body { place, speed: [0.0, 1.0 / place[0].sqrt(), 0.01], mass: 1.0 / (1.0 + angle * 40.0) }
    };
    let mut bodies: Vec<Body> = (0..7).map(body).collect();
    for _ in 0..steps {
        for index in 0..bodies.len() {
            let mut pull = [0.0; 3];
            for other in bodies.iter() {
                let way: Vec<f64> = (0..3).map(|d| other.place[d] - bodies[index].place[d]).collect();
                let square = way.iter().map(|x| x * x).sum::<f64>() + 1e-3;
                let strength = other.mass / (square * square.sqrt());
                (0..3).for_each(|d| pull[d] += way[d] * strength);
            }
            (0..3).for_each(|d| bodies[index].speed[d] += pull[d] * 0.01);
        }
        for body in &mut bodies {
            (0..3).for_each(|d| body.place[d] += body.speed[d] * 0.01);
        }
    }
    bodies.iter().flat_map(|body| body.place).fold(0, |hash, x| add(hash, x.to_bits()))
}

/// The hash of a picture of this many lines, in single precision.
#[unsafe(no_mangle)]
pub extern "C" fn picture(lines: u32) -> u64 {
    let mut hash = 1;
    for y in 0..lines {
        for x in 0..lines {
            let scale = 2.0 / lines as f32;
            let (dx, dy) = (x as f32 * scale - 1.0, y as f32 * scale - 1.0);
            let brightness = (0..5).fold(f32::NAN, |nearest, ball| {
                let (cx, cy) = (ball as f32 * 0.37 - 0.8, (ball * ball) as f32 * 0.09 - 0.7);
                let radius = 0.2 + 0.07 * ball as f32;
                let square = radius * radius - (dx - cx).powi(2) - (dy - cy).powi(2);
                // NaN outside of the ball: `min` leaves it out.
                nearest.min(1.0 - square.sqrt())
            });
            let bits = if brightness.is_nan() { 0 } else { brightness.to_bits() };
            hash = add(hash, u64::from(bits));
        }
    }
    hash
}
