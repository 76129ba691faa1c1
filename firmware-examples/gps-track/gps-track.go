// Command gps-track reads what a GPS receiver wrote, one NMEA 0183 sentence a line, and
// prints each position once: how far it has read is kept in a directory of its own.
//
// Its exit code is 0, 1 if it cannot read or write, or 3 if a sentence was damaged.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// State is what the next run has to know.
type State struct {
	ReadBytes int64 `json:"read_bytes"`
	Fixes     int   `json:"fixes"`
	Damaged   int   `json:"damaged"`
}

func main() {
	log.SetFlags(0) // The device's log has the time.
	from := flag.String("from", "/receiver/nmea.txt", "what the receiver wrote")
	keep := flag.String("keep", "/data", "where to remember what was read")
	flag.Parse()
	damaged, err := track(*from, filepath.Join(*keep, "state.json"))
	if err != nil {
		log.Fatal(err)
	}
	if damaged > 0 {
		os.Exit(3)
	}
}

// track prints what is new and says how many sentences of it were damaged.
func track(from, keep string) (int, error) {
	state, err := load(keep)
	if err != nil {
		return 0, err
	}
	file, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if _, err := file.Seek(state.ReadBytes, io.SeekStart); err != nil {
		return 0, err
	}
	damagedBefore := state.Damaged
	for lines := bufio.NewReader(file); ; {
		// A line without its end is still being written: the next run has all of it.
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		} else if err != nil {
			return 0, err
		}
		state.ReadBytes += int64(len(line))
		position, err := decode(strings.TrimSpace(line))
		if err != nil {
			state.Damaged++
			log.Printf("at byte %d: %v", state.ReadBytes-int64(len(line)), err)
		} else if position != "" {
			state.Fixes++
			fmt.Println(position)
		}
	}
	fmt.Printf("%d fixes, %d damaged\n", state.Fixes, state.Damaged)
	return state.Damaged - damagedBefore, save(keep, state)
}

// decode turns a GGA sentence with a fix into a position, and any other good one into "".
func decode(sentence string) (string, error) {
	body, sum, found := strings.Cut(strings.TrimPrefix(sentence, "$"), "*")
	wanted, err := strconv.ParseUint(sum, 16, 8)
	if !found || err != nil {
		return "", fmt.Errorf("no checksum in %q", sentence)
	}
	var actual byte
	for _, b := range []byte(body) {
		actual ^= b
	}
	if actual != byte(wanted) {
		return "", fmt.Errorf("checksum %02X, computed %02X", wanted, actual)
	}
	field := strings.Split(body, ",")
	if !strings.HasSuffix(field[0], "GGA") || len(field) < 10 || field[6] == "0" {
		return "", nil
	}
	latitude, err := degrees(field[2], field[3] == "S")
	if err != nil {
		return "", err
	}
	longitude, err := degrees(field[4], field[5] == "W")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %.6f %.6f %s m", field[1], latitude, longitude, field[9]), nil
}

// degrees reads ddmm.mmmm: degrees, then minutes with their fraction.
func degrees(text string, isNegative bool) (float64, error) {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, err
	}
	whole := float64(int(value / 100))
	value = whole + (value-whole*100)/60
	if isNegative {
		value = -value
	}
	return value, nil
}

func load(path string) (state State, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	} else if err != nil {
		return State{}, err
	}
	return state, json.Unmarshal(text, &state)
}

// save replaces the file as a whole, so that a power cut leaves the old one or the new one.
func save(path string, state State) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
