// What the `logbook` of every language does: `logbook DIRECTORY EXIT_CODE` uses each
// capability of WASI preview 1 and says the same in each. Answers: answers/logbook.txt.
package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

func main() {
	arguments := os.Args[1:]
	fmt.Println("arguments:", strings.Join(arguments, " "))
	fmt.Println("UNIT=" + os.Getenv("UNIT"))
	directory := arguments[0]
	fmt.Println("run", countRun(directory))
	content := writeLevels(directory)
	hash := fnv.New32a()
	hash.Write(content)
	fmt.Printf("%d bytes, hash %08x\n", len(content), hash.Sum32())
	names := []string{}
	for _, entry := range must(os.ReadDir(directory)) {
		names = append(names, entry.Name())
	}
	sort.Strings(names)
	fmt.Println("holds:", strings.Join(names, " "))
	_, err := os.Open(filepath.Join(directory, "missing"))
	fmt.Println("missing:", either(errors.Is(err, fs.ErrNotExist), "not found", "?"))
	_, err = os.Open(directory + "/../../etc/passwd")
	fmt.Println("outside:", either(err != nil, "refused", "open"))
	before := time.Now()
	goesOn := time.Since(before) >= 0 && before.Unix() > 1_600_000_000
	fmt.Println("time:", either(goesOn, "goes on", "?"))
	one, other := make([]byte, 16), make([]byte, 16)
	must(rand.Read(one))
	must(rand.Read(other))
	fmt.Println("random:", either(!bytes.Equal(one, other), "yes", "no"))
	fmt.Fprintln(os.Stderr, "logbook: done")
	os.Exit(must(strconv.Atoi(arguments[1])))
}

// countRun keeps its number in a file that is replaced as a whole.
func countRun(directory string) int {
	path := filepath.Join(directory, "runs.txt")
	run := 1
	if text, err := os.ReadFile(path); err == nil {
		run += must(strconv.Atoi(strings.TrimSpace(string(text))))
	} else if !errors.Is(err, fs.ErrNotExist) {
		panic(err)
	}
	made := filepath.Join(directory, "runs.new")
	done(os.WriteFile(made, fmt.Appendln(nil, run), 0o644))
	done(os.Rename(made, path))
	return run
}

// writeLevels writes, seeks back and overwrites, appends, and reads all of it again.
func writeLevels(directory string) []byte {
	done(os.MkdirAll(filepath.Join(directory, "day"), 0o755))
	file := must(os.Create(filepath.Join(directory, "day", "levels.txt")))
	defer file.Close()
	for level := range 100 {
		must(fmt.Fprintln(file, level*level))
	}
	must(file.Seek(2, io.SeekStart))
	must(file.WriteString("one"))
	must(file.Seek(0, io.SeekEnd))
	must(file.WriteString("end\n"))
	must(file.Seek(0, io.SeekStart))
	return must(io.ReadAll(file))
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

func must[T any](value T, err error) T {
	done(err)
	return value
}

func done(err error) {
	if err != nil {
		panic(err)
	}
}
