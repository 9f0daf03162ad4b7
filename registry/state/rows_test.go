package state

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// fill sets every field of v to something that is not zero.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.String:
		switch v.Interface().(type) {
		case registry.OpID:
			v.SetString(string(registry.OpIDOf([32]byte{byte(*n)})))
		case registry.ID:
			v.SetString(string(registry.NewID(testCountry, registry.OpIDOf([32]byte{1}))))
		case registry.Act:
			v.SetString(string(registry.Recover))
		case registry.RecordKind:
			v.SetString(string(registry.Passport))
		case registry.Status:
			v.SetString(string(registry.Deactivated))
		case jws.Multikey, registry.OrgStatus, string:
			v.SetString("text" + string(rune('a'+*n)))
		default:
			t.Fatalf("a field of type %s", v.Type())
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Int64:
		v.SetInt(int64(*n))
	default:
		t.Fatalf("a field of type %s", v.Type())
	}
}

// What package registry remembers comes back from the rows whole: a field that it gains and the rows do
// not hold would be forgotten between two operations.
func TestRowsHoldEverything(t *testing.T) {
	t.Parallel()
	n := 0
	var l registry.Lineage
	fill(t, reflect.ValueOf(&l).Elem(), &n)
	value, err := encodeRow(lineageToRow(l))
	must(t, err)
	var row lineageRow
	must(t, decodeRow(value, &row))
	got, err := row.lineage(l.ID)
	must(t, err)
	if !reflect.DeepEqual(*got, l) {
		t.Errorf("lineage\n%+v, want\n%+v", *got, l)
	}
	var a registry.AcceptanceState
	fill(t, reflect.ValueOf(&a).Elem(), &n)
	if got := newAcceptedRow(a).state(); *got != a {
		t.Errorf("acceptance %+v, want %+v", *got, a)
	}
	var acc registry.Accreditation
	fill(t, reflect.ValueOf(&acc).Elem(), &n)
	var st standingRow
	st.accredit(acc)
	if got := st.accreditation(); got != acc {
		t.Errorf("accreditation %+v, want %+v", got, acc)
	}
	var s registry.Strand
	for i := range reflect.TypeFor[registry.Strand]().NumField() {
		name := reflect.TypeOf(s).Field(i).Name
		if _, ok := reflect.TypeFor[strandValue]().FieldByName(name); !ok {
			t.Errorf("strandValue has no %s", name)
		}
	}
	for i := range reflect.TypeFor[registry.Key]().NumField() {
		if _, ok := reflect.TypeFor[keyRow]().FieldByName(reflect.TypeFor[registry.Key]().Field(i).Name); !ok {
			t.Errorf("keyRow lacks field %d of registry.Key", i)
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	good, err := (&Batch{Time: start, Seed: seedOf(1), Commands: []Command{
		{Type: OperationCommand, Bytes: []byte("a~")},
		{Type: AcceptanceCommand, Bytes: []byte("b"), Pins: []Pin{{ID: "i", Head: "h"}}},
	}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{1, 0x83, 0x00, 0x9f, 0xff})
	f.Add([]byte{2})
	f.Add([]byte{1, 0x83, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x9a, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBatch(data)
		if err != nil {
			return
		}
		again, err := b.Encode()
		if err != nil {
			t.Fatalf("what decodes does not encode: %v", err)
		}
		c, err := DecodeBatch(again)
		if err != nil || !reflect.DeepEqual(b, c) && len(b.Commands) != len(c.Commands) {
			t.Fatalf("it does not come back: %v", err)
		}
		final, err := c.Encode()
		if err != nil || !bytes.Equal(again, final) {
			t.Fatalf("two encodings: %v", err)
		}
	})
}

// Rows that are not what they should be are errors, never panics.
func FuzzRows(f *testing.F) {
	s := openMem(f, vfs.NewMem())
	defer s.Close()
	w := bareWorld(f, s)
	w.create(w.strand("purchases", w.provider("Vault").id))
	if err := s.Scan(f.Context(), func(k, v []byte) error { f.Add(k[0], bytes.Clone(v)); return nil }); err != nil {
		f.Fatal(err)
	}
	f.Add(byte(spaceRecord), []byte{1, 0x80})
	f.Add(byte(spaceJournal), bytes.Repeat([]byte{1}, 115))
	f.Add(byte(spaceDue), bytes.Repeat([]byte{2}, 44))
	f.Fuzz(func(t *testing.T, space byte, data []byte) {
		switch space {
		case spaceRecord:
			if rec, err := decodeRecord(ref{'q', 'm', 1}, data); err == nil {
				_, _ = rec.inForce()
				rec.strand("")
				rec.opName()
				if rec.Op != nil {
					rec.Op.recordJSON()
				}
			}
		case spaceJournal:
			if row, err := decodeJournal(1, data); err == nil && !bytes.Equal(row.encode(), data) {
				t.Fatal("a journal row has two spellings")
			}
		case spaceDue:
			_, _, _, _, _ = dueParts(data)
		case spaceOperation:
			var row operationRow
			if decodeRow(data, &row) == nil && row.check() == nil {
				_, _ = row.operation()
				row.recordJSON()
			}
		default:
			var kept keptRow
			if decodeRow(data, &kept) == nil {
				kept.Strand.disclosure()
			}
			var st statementRow
			if decodeRow(data, &st) == nil {
				st.Message.message()
			}
		}
	})
}
