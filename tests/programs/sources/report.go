// Command report reads lines of "sensor value" and prints what it found as JSON. It uses
// goroutines, channels, maps, sorting and reflection, which Go's runtime brings along.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"strings"
	"sync"
)

type summary struct {
	Sensor string  `json:"sensor"`
	Count  int     `json:"count"`
	Mean   float64 `json:"mean"`
	Spread float64 `json:"spread"`
}

func summarise(sensor string, values []float64) summary {
	sum, squares := 0.0, 0.0
	for _, value := range values {
		sum += value
		squares += value * value
	}
	count := float64(len(values))
	mean := sum / count
	return summary{sensor, len(values), mean, math.Sqrt(squares/count - mean*mean)}
}

func main() {
	values := map[string][]float64{}
	hash := sha256.New()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var sensor string
		var value float64
		fmt.Fprintln(hash, lines.Text())
		if _, err := fmt.Sscanf(strings.TrimSpace(lines.Text()), "%s %g", &sensor, &value); err != nil {
			fmt.Fprintln(os.Stderr, "bad line:", err)
			continue
		}
		values[sensor] = append(values[sensor], value)
	}
	found := make(chan summary)
	var workers sync.WaitGroup
	for sensor, list := range values {
		workers.Add(1)
		go func() {
			defer workers.Done()
			found <- summarise(sensor, list)
		}()
	}
	go func() { workers.Wait(); close(found) }()
	all := []summary{}
	for one := range found {
		all = append(all, one)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Sensor < all[j].Sensor })
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n%x\n", text, hash.Sum(nil))
}
