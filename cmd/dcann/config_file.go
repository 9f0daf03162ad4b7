package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxConfigFile bounds a configuration file, in bytes.
const maxConfigFile = 1 << 20

// configure gives flags that were not given on the command line their values from the environment, and
// what is then still missing from the YAML file of --config or DCANN_CONFIG. A name that no flag has is
// refused in the file; of the environment it is only said, since others may use the prefix DCANN_ too.
func (a *app) configure(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		if err == nil && f.Name != "help" {
			err = a.fromEnv(f)
		}
	})
	if err != nil {
		return err
	}
	a.warnOfUnknown(flags)
	path := flags.Lookup("config").Value.String()
	if path == "" {
		return nil
	}
	return setFromFile(flags, path)
}

// setFromFile gives flags that have no value yet those of a YAML file.
func setFromFile(flags *pflag.FlagSet, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return usageError{fmt.Errorf("--config: %w", err)}
	}
	defer f.Close()
	return setFromYAML(flags, f, path)
}

// setFromYAML is setFromFile with what the file says. Relative paths in it are from the file's directory, so
// that it does not matter where the node is started from, and the directory can be moved.
func setFromYAML(flags *pflag.FlagSet, text io.Reader, path string) error {
	values, err := readConfig(text, path)
	if err != nil {
		return err
	}
	for name, value := range values {
		f := flags.Lookup(name)
		if f == nil || name == "config" || name == "help" {
			return usagef("%s: there is no setting %q: the names are those of the flags of dcann serve", path, name)
		}
		if f.Changed {
			continue
		}
		if err := f.Value.Set(located(f, filepath.Dir(path), value)); err != nil {
			return usagef("%s: %s: %q: %v", path, name, value, expected(f, err))
		}
	}
	return nil
}

// isPath marks a flag whose value is a path, isSocket one whose value may be unix:PATH.
const (
	isPath   = "dcann_path"
	isSocket = "dcann_socket"
)

// mark gives the flags of these names an annotation.
func mark(flags *pflag.FlagSet, as string, names ...string) {
	for _, name := range names {
		if err := flags.SetAnnotation(name, as, nil); err != nil {
			panic(err) // there is no such flag
		}
	}
}

// located is the value of f, read from a file in dir.
func located(f *pflag.Flag, dir, value string) string {
	if _, ok := f.Annotations[isPath]; ok {
		return pathFrom(dir, value)
	}
	socket, ok := strings.CutPrefix(value, "unix:")
	if _, may := f.Annotations[isSocket]; may && ok {
		return "unix:" + pathFrom(dir, socket)
	}
	return value
}

func pathFrom(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// readConfig reads a flat YAML mapping; a list becomes what a flag of several values takes.
func readConfig(text io.Reader, path string) (map[string]string, error) {
	var nodes map[string]yaml.Node
	err := yaml.NewDecoder(io.LimitReader(text, maxConfigFile)).Decode(&nodes)
	if errors.Is(err, io.EOF) {
		return nil, nil // an empty file sets nothing
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--config %s: %w", path, err)}
	}
	values := make(map[string]string, len(nodes))
	for name, n := range nodes {
		switch {
		case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
			values[name] = n.Value
		case n.Kind == yaml.SequenceNode:
			var items []string
			if err := n.Decode(&items); err != nil {
				return nil, usageError{fmt.Errorf("--config %s: %s: %w", path, name, err)}
			}
			values[name] = strings.Join(items, ",")
		default:
			return nil, usagef("--config %s: %s: expected a value or a list of values", path, name)
		}
	}
	return values, nil
}

// warnOfUnknown says which variables beginning with DCANN_ set nothing, and what may have been meant.
func (a *app) warnOfUnknown(flags *pflag.FlagSet) {
	var known []string
	flags.VisitAll(func(f *pflag.Flag) { known = append(known, variable(f.Name)) })
	known = append(known, variable("registry"), variable("output"), variable("timeout"), variable("retry"))
	for _, name := range slices.Sorted(maps.Keys(a.env)) {
		if !strings.HasPrefix(name, variablePrefix) || slices.Contains(known, name) {
			continue
		}
		hint := ""
		nearest := slices.MinFunc(known, func(x, y string) int { return distance(name, x) - distance(name, y) })
		if distance(name, nearest) <= 3 {
			hint = ": did you mean " + nearest + "?"
		}
		a.say("dcann: %s in the environment sets nothing%s", name, hint)
	}
}

// distance is how many letters must be put in, taken out or replaced to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0] // and left
		row[0] = i + 1
		for j := range len(b) {
			replaced := above
			if a[i] != b[j] {
				replaced++
			}
			above = row[j+1]
			row[j+1] = min(replaced, above+1, row[j]+1)
		}
	}
	return row[len(b)]
}
