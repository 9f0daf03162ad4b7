// Package archive turns a directory into a stream of exactly known size, and back, so that whoever
// receives it has the whole directory, byte for byte, or nothing (DESIGN 9, rule 4). A leader streams a
// checkpoint of its state to a follower with it, and an operator's backup is one. It knows nothing of what
// the files hold.
//
//	src, err := archive.New(fs, checkpoint, header) // src.Size() is exact before a byte is read
//	src.WriteTo(w)                                  // or src.Reader()
//	header, err := archive.Receive(fs, r, dir, archive.Limits{}, nil)
//
// The sums tell of accidents, not of forgery: they have no key. A stream from a node comes over mutual TLS;
// who restores a backup must know where it comes from.
//
// # Format
//
// Numbers are big-endian. One after the other, and nothing else:
//
//   - 16 bytes: "dcann archive 1" and a line feed. Another format is another number.
//   - 4 bytes: the length of the header, at most 8 MiB.
//   - The header, JSON of a Header: members in the order of the struct, none left out but asOf, no space
//     between, configuration in base64, times in UTC. No other spelling is accepted.
//   - 32 bytes: SHA-256 of the header.
//   - Of each file that the header lists, in the order of their names, byte by byte, and none twice: its
//     bytes, as many as the header says, and 32 bytes, SHA-256 of them.
//   - 32 bytes: SHA-256 of all bytes before.
//
// Hence head -c -32 of a backup and sha256sum verify it without this program. A directory with one file, a, of the
// three bytes "hi\n" (the JSON is broken for print):
//
//	0x0000  64 63 61 6e 6e 20 61 72 63 68 69 76 65 20 31 0a  magic and version
//	0x0010  00 00 00 ea  length of the header: 234
//	0x0014  '{"kind":"backup","country":"qm","node":"n1","version":"0.1.0","l'
//	0x0054  'evel":1,"index":9,"term":2,"position":6,"stateHash":"00ff","conf'
//	0x0094  'iguration":"Y2Zn","configurationIndex":1,"created":"2026-09-21T1'
//	0x00d4  '4:13:20Z","files":[{"name":"a","size":3}]}'
//	0x00fe  ca c4 a8 20 79 df 5e a1 61 63 07 a0 99 55 e8 4c  SHA-256 of the header
//	0x010e  4c 55 59 2f 79 f8 8d e2 8c dd 44 da f2 73 76 5f
//	0x011e  68 69 0a  the file a
//	0x0121  98 ea 6e 4f 21 6f 2f b4 b6 9f ff 9b 3a 44 84 2c  SHA-256 of the file
//	0x0131  38 68 6c a6 85 f3 f5 5d c4 8c 5d 3f b1 10 7b e4
//	0x0141  c9 3b 60 ac 9c 24 2a 0c b7 75 6e a5 34 2e f6 fa  SHA-256 of all above
//	0x0151  14 c6 09 13 74 65 19 e1 d7 77 a0 fb de 9a f1 91
//
// Start reading at Header (header.go); source.go writes, receiver.go reads.
package archive
