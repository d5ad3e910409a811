/* Tile instructions of AMX for processors without them: a handler of SIGILL decodes each and does what Intel's manual
   says it does. So the machine code that a processor with AMX would run is run and tested; it is very slow. */
#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <xmmintrin.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };
enum { CONFIGURE, RELEASE, ZERO, LOAD, STORE, MULTIPLY, KINDS };

static __thread uint8_t tile[TILES][ROWS][ROW_BYTES], rows[TILES];
static __thread uint16_t row_bytes[TILES];
static __thread int configured;
long counts[KINDS]; /* instructions done in the whole process */
int is_configured(void) { return configured; }

static const int registers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static float number(const uint8_t *row, int place)
{
    uint32_t bits = (uint32_t)(row[2 * place] | row[2 * place + 1] << 8) << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static void multiply(int total, int left, int right)
{
    for (int m = 0; m < rows[total]; m++) {
        float sums[2][ROW_BYTES / 4] = {{0}}, held[ROW_BYTES / 4];
        for (int k = 0; k < row_bytes[left] / 4; k++)
            for (int n = 0; n < row_bytes[total] / 4; n++)
                for (int half = 0; half < 2; half++)
                    sums[half][n] = fmaf(number(tile[left][m], 2 * k + half), number(tile[right][k], 2 * n + half),
                                         sums[half][n]);
        memcpy(held, tile[total][m], row_bytes[total]);
        for (int n = 0; n < row_bytes[total] / 4; n++)
            held[n] += sums[0][n] + sums[1][n];
        memcpy(tile[total][m], held, row_bytes[total]);
    }
}

static int configure(const uint8_t *memory)
{
    for (int place = 1; place < 16; place++)
        if (memory[place])
            return 0;
    for (int place = 32; place < 48; place++)
        if (memory[place])
            return 0;
    memset(tile, 0, sizeof tile);
    for (int t = 0; t < TILES; t++) {
        memcpy(&row_bytes[t], memory + 16 + 2 * t, 2);
        rows[t] = memory[48 + t];
        if (row_bytes[t] > ROW_BYTES || rows[t] > ROWS || !row_bytes[t] != !rows[t])
            return 0;
    }
    configured = memory[0] == 1;
    return configured;
}

/* Does the instruction at the saved instruction pointer; returns its length, or 0 if it is none of these or at fault. */
static int execute(greg_t *saved)
{
    const uint8_t *code = (const uint8_t *)saved[REG_RIP];
    if (code[0] != 0xC4 || (code[1] & 0x1F) != 2 || code[2] & 0x84) /* VEX, map 0F38, W0, 128 bits */
        return 0;
    int prefix = code[2] & 3, other = ~code[2] >> 3 & 15, opcode = code[3], modrm = code[4];
    int mode = modrm >> 6, reg = (modrm >> 3 & 7) | (~code[1] >> 4 & 8), rm = (modrm & 7) | (~code[1] >> 2 & 8);
    if (opcode == 0x49 && prefix == 0 && modrm == 0xC0) {
        if (!configured)
            return 0;
        configured = 0;
        memset(rows, 0, sizeof rows);
        __sync_fetch_and_add(&counts[RELEASE], 1);
        return 5;
    }
    if (reg >= TILES || (mode == 3 && !configured))
        return 0;
    if (opcode == 0x49 && prefix == 3 && mode == 3) {
        memset(tile[reg], 0, sizeof tile[reg]);
        __sync_fetch_and_add(&counts[ZERO], 1);
        return 5;
    }
    if (opcode == 0x5C && prefix == 2 && mode == 3 && rm < TILES && other < TILES) {
        if (reg == rm || reg == other || rm == other || rows[reg] != rows[rm] || row_bytes[reg] != row_bytes[other] ||
            row_bytes[rm] / 4 != rows[other])
            return 0;
        multiply(reg, rm, other);
        __sync_fetch_and_add(&counts[MULTIPLY], 1);
        return 5;
    }
    if (mode == 3)
        return 0;
    int length = 5, index = 4, scale = 0, base = rm;
    intptr_t address = 0, stride = 0;
    if ((modrm & 7) == 4) {
        int sib = code[length++];
        scale = sib >> 6, index = (sib >> 3 & 7) | (~code[1] >> 3 & 8), base = (sib & 7) | (~code[1] >> 2 & 8);
        if (index != 4)
            stride = (intptr_t)saved[registers[index]] << scale;
    }
    int no_base = mode == 0 && (base & 7) == 5, relative = no_base && (modrm & 7) == 5;
    if (!no_base)
        address = saved[registers[base]];
    if (mode == 1)
        address += (int8_t)code[length++];
    else if (mode == 2 || no_base) {
        int32_t displacement;
        memcpy(&displacement, code + length, 4);
        address += displacement;
        length += 4;
    }
    if (relative)
        address += saved[REG_RIP] + length;
    uint8_t *memory = (uint8_t *)address;
    if (opcode == 0x49 && prefix == 0 && reg == 0) {
        if (!configure(memory + stride))
            return 0;
        __sync_fetch_and_add(&counts[CONFIGURE], 1);
        return length;
    }
    if (opcode != 0x4B || (modrm & 7) != 4 || !configured || (prefix != 2 && prefix != 3))
        return 0;
    if (prefix == 3)
        memset(tile[reg], 0, sizeof tile[reg]);
    for (int row = 0; row < rows[reg]; row++) {
        if (prefix == 3)
            memcpy(tile[reg][row], memory + row * stride, row_bytes[reg]);
        else
            memcpy(memory + row * stride, tile[reg][row], row_bytes[reg]);
    }
    __sync_fetch_and_add(&counts[prefix == 3 ? LOAD : STORE], 1);
    return length;
}

static void handler(int signal_number, siginfo_t *information, void *context)
{
    greg_t *saved = ((ucontext_t *)context)->uc_mcontext.gregs;
    _mm_setcsr(0x1F80 | 0x8040); /* AMX flushes subnormals; the return from here restores the mode */
    int length = execute(saved);
    if (length)
        saved[REG_RIP] += length;
    else
        signal(SIGILL, SIG_DFL);
    (void)signal_number, (void)information;
}

int install(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    return sigaction(SIGILL, &action, 0);
}
