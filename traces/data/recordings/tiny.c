typedef unsigned long u64;
static unsigned char memory[96 * 1024];
static u64 state = 88172645463325252UL;
static u64 next(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return state; }
#define F(n) __attribute__((noinline, aligned(64))) static u64 f##n(u64 x) { \
  for (int i = 0; i < 3; i++) { x = x * 6364136223846793005UL + n; x ^= x >> 29; __asm__ volatile("addq %1, %0" : "+m"(*(volatile u64 *)(memory + (x % (sizeof memory - 8)))) : "r"(x)); } return x; }
F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8)
void _start(void) {
  u64 x = 1;
  for (int round = 0; round < 200; round++) {
    switch (next() & 7) {
      case 0: x = f1(x); break; case 1: x = f2(x); break; case 2: x = f3(x); break; case 3: x = f4(x); break;
      case 4: x = f5(x); break; case 5: x = f6(x); break; case 6: x = f7(x); break; default: x = f8(x); break;
    }
    unsigned start = x % 65536;
    for (int i = 0; i < 12; i++) { unsigned int v = *(volatile unsigned int *)(memory + start + i * 29); x += v; }
    *(volatile unsigned short *)(memory + start + 63) = (unsigned short)x;
    for (int i = 0; i < 4; i++) *(volatile u64 *)(memory + next() % (sizeof memory - 8)) = x;
  }
  __asm__ volatile("syscall" :: "a"(231), "D"(x & 0) : "rcx", "r11", "memory");
  for (;;) {}
}
