// Says hello and waits for SIGTERM or SIGINT; with an argument: exits 0 if process 1 lives (the HEALTHCHECK).
    .globl _start
_start:
    ldr     x0, [sp]                // argc
    cmp     x0, #2
    b.ge    check

    mov     x8, #64                 // write(1, text, length)
    mov     x0, #1
    adr     x1, text
    mov     x2, #length
    svc     #0

    mov     x8, #135                // rt_sigprocmask(SIG_BLOCK, &signals, NULL, 8)
    mov     x0, #0
    adr     x1, signals
    mov     x2, #0
    mov     x3, #8
    svc     #0

    mov     x8, #137                // rt_sigtimedwait(&signals, NULL, NULL, 8)
    adr     x0, signals
    mov     x1, #0
    mov     x2, #0
    mov     x3, #8
    svc     #0
    mov     x0, #0
    b       exit

check:
    mov     x8, #129                // kill(1, 0)
    mov     x0, #1
    mov     x1, #0
    svc     #0
    neg     x0, x0
exit:
    mov     x8, #93                 // exit(x0)
    svc     #0

text:
    .ascii  "hello from linux/arm64\n"
    .set    length, . - text
    .balign 8
signals:
    .quad   0x4002                  // SIGINT and SIGTERM
