// Conway's game of life on a torus, in AssemblyScript: arrays on its heap, bounds
// checks of its own, classes and strings.

class Field {
  cells: Uint8Array;

  constructor(public size: i32) {
    this.cells = new Uint8Array(size * size);
  }

  alive(x: i32, y: i32): i32 {
    const size = this.size;
    return this.cells[((y + size) % size) * size + ((x + size) % size)];
  }

  next(): Field {
    const field = new Field(this.size);
    for (let y = 0; y < this.size; y++) {
      for (let x = 0; x < this.size; x++) {
        let around = -this.alive(x, y);
        for (let dy = -1; dy <= 1; dy++) {
          for (let dx = -1; dx <= 1; dx++) around += this.alive(x + dx, y + dy);
        }
        const lives = around == 3 || (around == 2 && this.alive(x, y) == 1);
        field.cells[y * this.size + x] = lives ? 1 : 0;
      }
    }
    return field;
  }

  toString(): string {
    let text = "";
    for (let i = 0; i < this.cells.length; i++) text += this.cells[i] ? "#" : ".";
    return text;
  }
}

/** How many cells live after this many generations of an R-pentomino. */
export function population(size: i32, generations: i32): i32 {
  let field = start(size);
  for (let i = 0; i < generations; i++) field = field.next();
  let count = 0;
  for (let i = 0; i < field.cells.length; i++) count += field.cells[i];
  return count;
}

/** A hash of the field as text, after this many generations. */
export function picture(size: i32, generations: i32): i64 {
  let field = start(size);
  for (let i = 0; i < generations; i++) field = field.next();
  const text = field.toString();
  let hash: i64 = 7;
  for (let i = 0; i < text.length; i++) hash = hash * 31 + <i64>text.charCodeAt(i);
  return hash;
}

function start(size: i32): Field {
  const field = new Field(size);
  const middle = size / 2;
  const places: i32[] = [1, 0, 2, 0, 0, 1, 1, 1, 1, 2];
  for (let i = 0; i < places.length; i += 2) {
    field.cells[(middle + places[i + 1]) * size + middle + places[i]] = 1;
  }
  return field;
}
